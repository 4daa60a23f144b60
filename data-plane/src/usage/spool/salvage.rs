//! Files that the disk does not give back whole.
//!
//! What can be read of a segment takes its place, and the segment itself is set aside: nothing is deleted that a person
//! may get more out of. What goes on from there finds a segment in which records are missing, as after any damage.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::io::Errno;

use super::{fault, segment};

/// Of a folder, or a folder of files, that a person has to look at.
pub(super) const SET_ASIDE_EXTENSION: &str = "set-aside";
/// Of what could be read, until it is in its place.
const UNFINISHED_EXTENSION: &str = "readable";

/// What a disk reads or does not read at once.
const BLOCK: usize = 4096;
/// After so many blocks that can't be read, more and more is passed over behind each further one: each may take a disk
/// seconds, and the node waits.
const MOST_BLOCKS: usize = 64;

/// What is in a file.
#[derive(Debug)]
pub(super) struct Content {
    /// Zeros where the disk gives nothing.
    pub(super) bytes: Vec<u8>,
    /// The disk does not give all of it.
    pub(super) is_damaged: bool,
}

/// Whether the disk has lost what was asked for. All else, such as a folder that may not be read or too many open files,
/// is not of this file alone or passes, and is no reason to give up records.
pub(super) fn is_damage(error: &io::Error) -> bool {
    let damage = [Errno::IO, Errno::NODATA, Errno::REMOTEIO, Errno::BADMSG, Errno::UCLEAN];
    Errno::from_io_error(error).is_some_and(|error| damage.contains(&error))
}

/// What a disk says that does not take something is no word on what it gives: records that were read are not given up for
/// it, and the same start succeeds once the disk is back.
pub(super) fn untaken(error: io::Error) -> io::Error {
    if is_damage(&error) { io::Error::other(error) } else { error }
}

/// # Errors
/// Nothing of it can be read, or what is no damage.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    match fault::read(path, 0, u64::MAX).and_then(|()| fs::read(path)) {
        Ok(bytes) => Ok(Content { bytes, is_damaged: false }),
        Err(error) if is_damage(&error) => blocks(path),
        Err(error) => Err(error),
    }
}

fn blocks(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let (mut at, mut lost, mut step) = (0, 0, BLOCK);
    while at < bytes.len() {
        let end = bytes.len().min(at + BLOCK);
        let (block, from) = (&mut bytes[at..end], at as u64);
        match fault::read(path, from, block.len() as u64).and_then(|()| file.read_exact_at(block, from)) {
            Ok(()) => {
                at = end;
                step = (step / 2).max(BLOCK);
            }
            Err(error) if is_damage(&error) => {
                block.fill(0);
                lost += 1;
                if lost > MOST_BLOCKS {
                    step = step.saturating_mul(2);
                }
                at = at.saturating_add(step);
            }
            Err(error) => return Err(error),
        }
    }
    // Where all came at the second try, there is nothing to put in its place.
    Ok(Content { bytes, is_damaged: lost > 0 })
}

/// Puts what could be read of `path` at `target`, and the file itself into the folder `aside`.
pub(super) fn replace(path: &Path, target: &Path, readable: &[u8], aside: &Path) -> io::Result<()> {
    put(path, target, readable, aside).map_err(untaken)
}

fn put(path: &Path, target: &Path, readable: &[u8], aside: &Path) -> io::Result<()> {
    let unfinished = target.with_extension(UNFINISHED_EXTENSION);
    write(&unfinished, readable, fs::metadata(path)?.modified()?)?;
    set_aside(path, aside)?;
    fault::step()?;
    fs::rename(&unfinished, target)?;
    target.parent().map_or(Ok(()), segment::sync_folder)
}

/// Makes a file as it would have been when `written`: what was under way is charged by that.
pub(super) fn write(path: &Path, bytes: &[u8], written: SystemTime) -> io::Result<()> {
    fault::step()?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    fault::step()?;
    file.write_all(bytes)?;
    file.set_modified(written)?;
    file.sync_all()
}

/// Goes on where a process was ended within [`replace`].
pub(super) fn finish(folder: &Path) -> io::Result<()> {
    for unfinished in segment::with_extension(folder, UNFINISHED_EXTENSION)? {
        let target = unfinished.with_extension(segment::EXTENSION);
        let done = if target.exists() { fs::remove_file(unfinished) } else { fs::rename(unfinished, target) };
        done.map_err(untaken)?;
    }
    Ok(())
}

/// Moves a file into the folder `aside`, over nothing.
pub(super) fn set_aside(path: &Path, aside: &Path) -> io::Result<()> {
    move_aside(path, aside).map_err(untaken)
}

fn move_aside(path: &Path, aside: &Path) -> io::Result<()> {
    fault::step()?;
    fs::create_dir_all(aside)?;
    let name = path.file_name().unwrap_or_default();
    let place = free(|number| {
        let mut name = name.to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        aside.join(name)
    });
    fault::step()?;
    fs::rename(path, place)?;
    segment::sync_folder(aside)
}

/// A name for an incarnation's folder under which it is left alone.
pub(super) fn aside_of(folder: &Path) -> PathBuf {
    free(|number| match number {
        0 => folder.with_extension(SET_ASIDE_EXTENSION),
        _ => folder.with_extension(format!("{number}.{SET_ASIDE_EXTENSION}")),
    })
}

fn free(name: impl Fn(u32) -> PathBuf) -> PathBuf {
    (0..u32::MAX).map(&name).find(|path| !path.exists()).unwrap_or_else(|| name(u32::MAX))
}
