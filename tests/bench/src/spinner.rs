//! A process that burns CPU: what a neighbour on the same machine does to everybody.

use std::{
    hint,
    io::{self, Read as _},
    path::Path,
    process::ExitCode,
    thread,
};

use crate::child::{Process, command};

/// The role: spins until standard input closes, and so never outlives who started it.
pub(crate) fn spin() -> io::Result<ExitCode> {
    let parent = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    while !parent.is_finished() {
        hint::spin_loop();
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn start(this_program: &Path) -> io::Result<Process> {
    Process::talking("spinner", command(this_program, None).arg("spin"))
}
