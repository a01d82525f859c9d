//! A directory and the processes that belong to it, all gone when its guard is dropped or this program ends, even by SIGKILL.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{outside, process::Process};

const SCRIPT: &str = include_str!("keeper.sh");
/// What marks a process as belonging to the directory that it names.
const MARK: &str = "MAINSHEET_KEPT_IN";

/// A directory for state and logs. Dropping it kills what was started in it and removes it.
///
/// A small shell script outside this process does the clearing, because nothing inside a process survives its SIGKILL. The system's own means,
/// the parent-death signal, depends on the thread that started a child, and removes no files.
#[derive(Debug)]
pub struct Keeper {
    directory: PathBuf,
    /// Absent where the directory belongs to a keeper further out.
    _script: Option<Script>,
}

#[derive(Debug)]
struct Script {
    process: Child,
    /// The script waits for this to be closed. It is not inherited by other children.
    open: Option<ChildStdin>,
}

impl Keeper {
    /// Makes a directory whose name begins with `name`.
    ///
    /// # Errors
    /// The directory cannot be made or there is no shell.
    pub fn start(name: &str) -> Result<Self> {
        use std::os::unix::process::CommandExt;

        let prefix = std::env::temp_dir().join(name);
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "keeper"]).arg(&prefix).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A group of its own, so that Ctrl-C on a terminal does not reach it.
        let mut process = command.process_group(0).spawn().context("start a shell")?;
        let open = process.stdin.take();
        let mut directory = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut directory).context("read the name of the directory")?;
        }
        let directory = PathBuf::from(directory.trim_end());
        ensure!(directory.is_absolute(), "no directory could be made at {}: is it writable?", prefix.display());
        Ok(Self { directory, _script: Some(Script { process, open }) })
    }

    /// The directory that this process itself belongs to, as it was started by a keeper's command. Dropping it has no effect: when the outer
    /// keeper is dropped, all of it goes.
    ///
    /// # Errors
    /// This process belongs to none.
    pub fn around() -> Result<Self> {
        let directory = outside::variable(MARK).context("this process was not started by a keeper")?;
        Ok(Self { directory: directory.into(), _script: None })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory's name, which no other has at this time.
    #[must_use]
    pub fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A command that belongs to the directory.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        command_in(&self.directory, program)
    }

    /// Starts a command made by [`Self::command`], with its output in `NAME.log` of the directory.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn run(&self, name: &str, command: &mut Command) -> Result<Process> {
        Process::start(name, command, &self.directory.join(format!("{name}.log")))
    }
}

/// A command that belongs to the directory of a keeper.
#[must_use]
pub fn command_in(directory: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    // A process that starts while the script clears away ends before it becomes the program.
    command.args(["-c", r#"test -d "$0" && exec "$@""#]).arg(directory).arg(program);
    command.env(MARK, directory);
    command
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.open.take());
        // It fails only if the script is gone already.
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_it_ends_what_was_started_and_what_that_started() {
        let keeper = Keeper::start("mainsheet-keeper-test").unwrap();
        let said = keeper.directory().join("child");
        // The child leaves its group and its parent.
        let script = r#"setsid sleep 1000 & echo $! > "$1"; mv "$1" "$2"; wait"#;
        let mut command = keeper.command("sh");
        command.args(["-c", script, "sh"]).arg(said.with_extension("tmp")).arg(&said);
        let mut process = keeper.run("parent", &mut command).unwrap();
        let child = loop {
            match std::fs::read_to_string(&said) {
                Ok(child) => break child.trim().to_owned(),
                Err(_) => std::thread::yield_now(),
            }
        };
        let directory = keeper.directory().to_path_buf();
        drop(keeper);
        assert!(!directory.exists() && !directory.with_extension("gone").exists());
        assert!(process.ended().unwrap().is_some());
        // Its parent is gone, so somebody else collects it; until then it is a zombie without an environment.
        assert_eq!(std::fs::read(format!("/proc/{child}/environ")).unwrap_or_default(), b"");
    }

    #[test]
    fn nothing_starts_once_it_is_gone() {
        let keeper = Keeper::start("mainsheet-keeper-test").unwrap();
        let mut command = keeper.command("true");
        drop(keeper);
        assert!(!command.status().unwrap().success());
    }
}
