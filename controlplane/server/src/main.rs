//! `mainsheet`: the control plane.

/// Many small, long-lived allocations on a few threads: it keeps memory tighter than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mainsheet::cli::main()
}
