//! A child of a test's own making.

use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

/// A child that does not outlive the test.
pub struct Process(pub Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Process(command.spawn().unwrap())
    }

    /// The exit code, once it has ended.
    pub fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
