//! The tables.

use crate::{
    catalogue::Act,
    open_streams::Occupied,
    options::Options,
    rounds::Measurements,
    row::{self, Row, number},
    scenario::Scenario,
    target::{TargetKind, Tls},
};

/// Resident memory of a gateway in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    /// The node or standalone.
    pub kind: TargetKind,
    pub idle: u64,
    pub after_load: u64,
}

/// What an act gave.
#[derive(Debug)]
pub(crate) struct Played {
    pub act: Act,
    /// A place for each scenario.
    pub measurements: Vec<Measurements>,
    pub rounds: u32,
    pub resident: Vec<Resident>,
}

#[derive(Debug)]
pub(crate) struct Report {
    pub acts: Vec<Played>,
    pub occupied: Vec<Occupied>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Played {
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let both = self.act.scenarios.iter().zip(&self.measurements);
        both.map(|(scenario, measurements)| Row { scenario, measurements })
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let targets = |row: Row<'_>| -> Vec<_> {
            let present = TargetKind::ALL.into_iter().filter(|target| row.has(*target));
            present.map(|target| row.cells(target)).collect()
        };
        self.rows().flat_map(targets).collect()
    }
}

impl Report {
    pub(crate) fn text(&self, options: &Options) -> String {
        let mut parts = vec![self.conditions(options)];
        for acts in self.acts.chunk_by(|one, next| one.act.title == next.act.title) {
            let lines: Vec<_> = acts.iter().flat_map(Played::lines).collect();
            parts.extend(acts.first().map(|first| format!("### {}", first.act.title)));
            parts.push(table(&row::HEAD, &lines));
        }
        parts.extend(self.memory());
        if !self.notes.is_empty() {
            parts.push(format!("Left out:\n\n- {}", self.notes.join("\n- ")));
        }
        parts.join("\n\n")
    }

    fn conditions(&self, options: &Options) -> String {
        let rounds = self.acts.iter().map(|act| act.rounds).max().unwrap_or_default();
        let spinners = match options.spinners {
            0 => String::new(),
            spinners => format!(" Processes beside them that burn CPU all the time: {spinners}."),
        };
        format!(
            "Medians of at most {rounds} rounds of {} ms each; CPU and requests/s at c = {} (or as many streams as \
             named). All ratios to nginx are to the one with 1 worker. Threads of the gateway: {}. Upstream and client \
             are on the same machine.{spinners}\n\n\
             - node: `switchyard-data` alone; its control plane is a process of its own, whose CPU is shown beside. \
             standalone: both in one process.\n\
             - converting: the same request, for a model of the other platform; what it adds is the time above asking \
             that platform directly for the same in its own wire.\n\
             - peak memory: the highest resident memory (VmHWM) while such requests are sent one at a time, less what \
             a fresh gateway holds after small ones, divided by the body's size.",
            options.slot_ms,
            options.concurrency,
            options.threads(),
        )
    }

    fn memory(&self) -> Vec<String> {
        let idle = self.acts.iter().flat_map(|played| {
            let last = played.act.scenarios.last().map_or("nothing", |scenario: &Scenario| &scenario.name);
            played.resident.iter().map(|resident| {
                let kind = resident.kind.name().to_owned();
                vec![kind, mib(resident.idle), mib(resident.after_load), last.to_owned()]
            })
        });
        let idle: Vec<_> = idle.collect();
        let streams: Vec<_> = self.occupied.iter().map(line_of_streams).collect();
        let mut parts = Vec::new();
        if !idle.is_empty() || !streams.is_empty() {
            parts.push("### Resident memory".to_owned());
        }
        if !idle.is_empty() {
            parts.push(table(&["", "idle, MiB", "after load, MiB", "of which the last was"], &idle));
        }
        if !streams.is_empty() {
            let head = ["", "node before, MiB", "with the streams, MiB", "KB per stream"];
            parts.push(table(&head, &streams));
        }
        parts
    }
}

fn line_of_streams(occupied: &Occupied) -> Vec<String> {
    let name = stream_name(occupied);
    vec![name, mib(occupied.before), mib(occupied.with), number(Some(occupied.per_stream() / 1000.0), 1)]
}

pub(crate) fn stream_name(occupied: &Occupied) -> String {
    let tls = if occupied.asked.tls == Tls::WithClients { " with TLS" } else { "" };
    format!("{} open streams{tls}", occupied.asked.streams)
}

/// Markdown; a column where nothing stands in any line is left out.
fn table(head: &[&str], lines: &[Vec<String>]) -> String {
    let used =
        |column: &usize| lines.iter().any(|line| line.get(*column).is_some_and(|cell| !cell.is_empty()));
    let columns: Vec<usize> = (0..head.len()).filter(used).collect();
    let row = |cell: &dyn Fn(usize) -> String| {
        let cells: Vec<_> = columns.iter().map(|column| cell(*column)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut text = vec![
        row(&|column| head.get(column).copied().unwrap_or_default().to_owned()),
        row(&|column| {
            let words = lines
                .iter()
                .filter_map(|line| line.get(column))
                .any(|cell| cell.contains(char::is_alphabetic));
            if words { "---" } else { "--:" }.to_owned()
        }),
    ];
    text.extend(lines.iter().map(|line| row(&|column| line.get(column).cloned().unwrap_or_default())));
    text.join("\n")
}

fn mib(kib: u64) -> String {
    number(Some(kib as f64 / 1024.0), 1)
}
