//! A process that this program started: its first words, its CPU time, its memory, its end.

use std::{
    fs, io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// How long a process may take for its last things before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a process may take to say its first line, or the answer to a job.
const PATIENCE: Duration = Duration::from_secs(120);

/// Linux counts CPU time for others to read in hundredths of a second.
pub(crate) const TICK_MILLIS: u64 = 10;

/// Dropped, it is killed; [`Process::stop`] is kinder.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
}

/// A command, on certain CPUs only if there is a list of them.
pub(crate) fn command(program: &Path, cpus: Option<&str>) -> Command {
    match cpus {
        None => Command::new(program),
        Some(cpus) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(cpus).arg(program);
            command
        }
    }
}

/// Lets us, and whom we start, open as many files as the system allows; gives how many that is.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(most.unwrap_or(u64::MAX))
}

impl Process {
    /// Starts it with both standard streams in our hands.
    pub(crate) fn talking(name: &'static str, command: &mut Command) -> io::Result<Self> {
        Self::start(name, command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// Starts it with its output in a file.
    pub(crate) fn logging(name: &'static str, command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = fs::File::create(log)?;
        let errors = log.try_clone()?;
        Self::start(name, command.stdin(Stdio::null()).stdout(log).stderr(errors))
    }

    fn start(name: &'static str, command: &mut Command) -> io::Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{name}: cannot start {program}: {error}"))
        })?;
        let pid = child.id().ok_or_else(|| io::Error::other(format!("{name} ended at once")))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Ok(Self { name, child, pid, stdin, stdout })
    }

    pub(crate) async fn line(&mut self) -> io::Result<String> {
        let name = self.name;
        let silent = || io::Error::other(format!("{name} said nothing"));
        let stdout = self.stdout.as_mut().ok_or_else(silent)?;
        let line = tokio::time::timeout(PATIENCE, stdout.next_line()).await.map_err(|_| silent())??;
        line.ok_or_else(silent)
    }

    pub(crate) async fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other(format!("{} is deaf", self.name)))?;
        stdin.write_all(line.as_bytes()).await?;
        stdin.write_all(b"\n").await?;
        stdin.flush().await
    }

    /// An error once it has ended.
    pub(crate) fn alive(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("{} ended with {status}", self.name))),
        }
    }

    /// CPU time of the process and of its children that are alive, threads that ended included.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut all = cpu_of(self.pid)?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children", pid = self.pid))?;
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            all += cpu_of(child)?;
        }
        Ok(all)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        status(self.pid, "VmRSS:")
    }

    /// The most resident memory in KiB since [`Self::forget_peak`].
    pub(crate) fn peak(&self) -> io::Result<u64> {
        status(self.pid, "VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        forget_peak(self.pid)
    }

    /// Asks it to end, and makes it after a while.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        drop(self.stdin.take());
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && self.child.try_wait()?.is_none()
        {
            kill_process(pid, Signal::TERM)?;
        }
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// utime and stime of a process. They count in ticks, and what ended threads used is in them.
pub(crate) fn cpu_of(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).ok_or_else(|| io::Error::other("an unknown form of /proc/…/stat"))?;
    Ok(Duration::from_millis(ticks.saturating_mul(TICK_MILLIS)))
}

fn status(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    size(&status, name).ok_or_else(|| io::Error::other(format!("no {name} in /proc")))
}

/// A line of /proc/…/status that gives a size.
fn size(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn forget_peak(pid: u32) -> io::Result<()> {
    // 5: the peak becomes what is resident now.
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may hold anything; what follows it is numbers.
    let (_, numbers) = stat.rsplit_once(')')?;
    let mut numbers = numbers.split_whitespace().skip(11);
    let user: u64 = numbers.next()?.parse().ok()?;
    let system: u64 = numbers.next()?.parse().ok()?;
    Some(user + system)
}

/// Tries until it works; the last failure when the time is up.
pub(crate) async fn eventually<T, F>(
    what: &str,
    at_most: Duration,
    mut attempt: impl FnMut() -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let deadline = Instant::now() + at_most;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(io::Error::other(format!("{what}: not within {at_most:?}: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_any_name() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194304 120 0 1 0 250 50 0 0 20 0 1 0 197373";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn sizes_are_read_by_name() {
        let status = "Name:\tswitchyard\nVmHWM:\t   81920 kB\nVmRSS:\t   56320 kB\n";
        assert_eq!((size(status, "VmRSS:"), size(status, "VmHWM:")), (Some(56_320), Some(81_920)));
        assert_eq!(size(status, "VmSwap:"), None);
    }

    /// In a process of another allocator: ours keeps what is freed resident for a while.
    #[tokio::test]
    async fn a_peak_stays_until_it_is_forgotten() {
        const LARGE_MIB: u64 = 256;
        let program =
            format!("memory = bytearray({LARGE_MIB} << 20); del memory; print('freed', flush=True); input()");
        let mut command = command(Path::new("python3"), None);
        command.arg("-c").arg(program).env("MALLOC_MMAP_THRESHOLD_", "1048576");
        let mut python = Process::talking("python3", &mut command).unwrap();
        assert_eq!(python.line().await.unwrap(), "freed");
        let peak = python.peak().unwrap();
        assert!(peak >= LARGE_MIB << 10, "{peak}");
        assert!(python.resident().unwrap() < peak / 2);
        python.forget_peak().unwrap();
        assert!(python.peak().unwrap() < peak / 2);
        python.stop().await.unwrap();
    }
}
