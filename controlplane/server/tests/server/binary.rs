//! The control plane as it is run: a process of its own, and what it logs.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::house::PATIENCE;

/// A control plane in a process of its own, ended when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) xds: SocketAddr,
    pub(crate) http: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_mainsheet")), directory)
    }

    /// One that may open no more than so many files.
    pub(crate) fn with_files(files_max: u32, directory: &Path) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files_max}")).arg(env!("CARGO_BIN_EXE_mainsheet"));
        Self::start_by(command, directory)
    }

    fn start_by(mut command: Command, directory: &Path) -> Self {
        let mut child = command
            .args(["serve", "--xds-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--log-format", "json"])
            .arg("--config-dir")
            .arg(directory)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let serving = lines.find(|line| line.contains("\"message\":\"serving\"")).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        // Whoever writes to a pipe that nobody reads comes to a halt.
        let kept = Arc::clone(&log);
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
        let serving: serde_json::Value = serde_json::from_str(&serving).unwrap();
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        Self { child, xds: address("xds_address"), http: address("http_address"), log }
    }

    /// Bytes of memory that it has.
    pub(crate) fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// A line of its log after the one that said where it serves, counted from 0; waits for it.
    pub(crate) fn line(&self, number: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log.lock().unwrap().get(number) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "no line {number}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lines of its log with this text.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Waits until the log has a line with this text.
    pub(crate) fn wait_logged(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.logged(text).pop() {
                return line;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The value of a metric, by its whole name with labels; 0 if there is none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut socket = TcpStream::connect(self.http).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        value.unwrap_or_default()
    }

    /// Waits until a metric is as asked.
    pub(crate) fn wait_metric(&self, name: &str, is: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(self.metric(name)) {
            assert!(Instant::now() < deadline, "{name} is still {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts another file in the place of the mesh's.
pub(crate) fn replace(directory: &Path, text: &str) {
    let next = directory.join("mesh.next");
    fs::write(&next, text).unwrap();
    fs::rename(&next, directory.join("mesh.yaml")).unwrap();
}
