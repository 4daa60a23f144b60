//! The requests of a spool that are open, each with the place of its latest open record.

/// Where a request's open record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// 0: nobody has the slot.
    pub(super) sequence: u64,
    /// What the record takes on disk.
    pub(super) bytes: u64,
    /// Milliseconds since 1970.
    pub(super) started_at_ms: i64,
}

/// A slot keeps its number for as long as its request is open. As many as were open at one time.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: Vec<Slot>,
    free: Vec<u32>,
    bytes: u64,
}

impl Slots {
    pub(super) fn take(&mut self, slot: Slot) -> u32 {
        self.bytes += slot.bytes;
        if let Some(number) = self.free.pop()
            && let Some(free) = self.all.get_mut(number as usize)
        {
            *free = slot;
            return number;
        }
        self.all.push(slot);
        u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
    }

    /// What was in it, which is there no more. `None`: nobody has it.
    pub(super) fn give_back(&mut self, number: u32) -> Option<Slot> {
        let slot = self.all.get_mut(number as usize).filter(|slot| slot.sequence > 0)?;
        let was = std::mem::replace(slot, Slot { sequence: 0, ..*slot });
        self.bytes = self.bytes.saturating_sub(was.bytes);
        self.free.push(number);
        Some(was)
    }

    /// Whether the request is open still, and its record nowhere else.
    pub(super) fn is_at(&self, number: u32, sequence: u64) -> bool {
        self.all.get(number as usize).is_some_and(|slot| slot.sequence == sequence)
    }

    /// The record is there too, and that is the place that counts from now on.
    pub(super) fn put_at(&mut self, number: u32, sequence: u64) {
        if let Some(slot) = self.all.get_mut(number as usize) {
            slot.sequence = sequence;
        }
    }

    /// Those whose record is in this range of sequences: sequence and number, in order.
    pub(super) fn between(&self, first: u64, last: u64) -> Vec<(u64, u32)> {
        let numbered = self.all.iter().zip(0..);
        let mut found: Vec<_> = numbered
            .filter(|(slot, _)| slot.sequence >= first.max(1) && slot.sequence <= last)
            .map(|(slot, number)| (slot.sequence, number))
            .collect();
        found.sort_unstable();
        found
    }

    /// What the records of all of them take on disk, each once.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.all.len()
    }

    /// When the oldest request that is open began.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.all.iter().filter(|slot| slot.sequence > 0).map(|slot| slot.started_at_ms).min()
    }
}
