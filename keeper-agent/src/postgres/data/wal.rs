//! Whether the local log goes on past a position: what a crashed server has written last is in no control file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use pgaf_core::lsn::{Lsn, Timeline};

/// Of every page of WAL; a build can choose another, and then everything here says "maybe".
const PAGE_BYTES: u64 = 8192;
/// The header of a page, and of the first page of a segment.
const SHORT_HEADER_BYTES: u64 = 24;
const LONG_HEADER_BYTES: u64 = 40;

/// A record of this timeline begins at `position`, or seems to. False only when there is certainly none.
pub(crate) fn has_record_at(pgdata: &Path, timeline: Timeline, position: Lsn, segment_bytes: u64) -> bool {
    if segment_bytes == 0 {
        return true;
    }
    let segment = position.0 / segment_bytes;
    let path = pgdata.join("pg_wal").join(segment_name(timeline, segment, segment_bytes));
    let file = match File::open(&path) {
        Ok(file) => file,
        // Neither written nor kept: what is asked about is the end of the log, which is not removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            tracing::warn!("could not open \"{}\": {error}", path.display());
            return true;
        }
    };
    let start_of_page = position.0 / PAGE_BYTES * PAGE_BYTES;
    let mut page = [0_u8; PAGE_BYTES as usize];
    if file.read_exact_at(&mut page, start_of_page % segment_bytes).is_err() {
        return true;
    }
    page_has_record(&page, position, segment_bytes)
}

/// The newest timeline of which there is a segment with the byte before `end`. What a standby has of a timeline it has
/// received because it replays it, so this is the timeline it is on.
pub(crate) fn timeline_before(pgdata: &Path, end: Lsn, segment_bytes: u64) -> Option<Timeline> {
    let segment = segment_number_name(Lsn(end.0.saturating_sub(1)), segment_bytes);
    fs::read_dir(pgdata.join("pg_wal"))
        .ok()?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let timeline = name.to_str()?.strip_suffix(&segment)?;
            (timeline.len() == 8).then(|| u32::from_str_radix(timeline, 16).ok().map(Timeline))?
        })
        .max()
}

fn segment_name(timeline: Timeline, segment: u64, segment_bytes: u64) -> String {
    format!("{:08X}{}", timeline.0, segment_number(segment, segment_bytes))
}

/// The name of the segment with this position, without the timeline it begins with.
pub(crate) fn segment_number_name(position: Lsn, segment_bytes: u64) -> String {
    let segment_bytes = segment_bytes.max(1);
    segment_number(position.0 / segment_bytes, segment_bytes)
}

/// The number in the name of a segment, without the timeline, and where the segment ends.
pub(crate) fn segment_of_name(name: &str, segment_bytes: u64) -> Option<(&str, Lsn)> {
    let number = name.get(8..).filter(|number| number.len() == 16)?;
    let part = |part: &str| u64::from_str_radix(part, 16).ok();
    let (file, segment) = (part(number.get(..8)?)?, part(number.get(8..)?)?);
    let end = segment.checked_add(1)?.checked_mul(segment_bytes)?.checked_add(file << 32)?;
    Some((number, Lsn(end)))
}

fn segment_number(segment: u64, segment_bytes: u64) -> String {
    let per_file_id = 0x1_0000_0000 / segment_bytes;
    format!("{:08X}{:08X}", segment / per_file_id, segment % per_file_id)
}

fn page_has_record(page: &[u8], position: Lsn, segment_bytes: u64) -> bool {
    let read_u32 = |at: u64| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        page.get(at..at.saturating_add(4)).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)
    };
    let start_of_page = position.0 / PAGE_BYTES * PAGE_BYTES;
    let address = page.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
    // A segment is used again without being cleared: a page of before has the address it had before.
    if address != Some(start_of_page) {
        return false;
    }
    let header =
        if start_of_page.is_multiple_of(segment_bytes) { LONG_HEADER_BYTES } else { SHORT_HEADER_BYTES };
    let at = (position.0 - start_of_page).max(header);
    // The length of a record is its first field; unwritten space is zero. A page that begins with the rest of a record
    // is past the position, too.
    let is_continued = at == header && read_u32(16).is_some_and(|rest| rest != 0);
    is_continued || read_u32(at.next_multiple_of(8)).is_none_or(|length| length != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_BYTES: u64 = 16 << 20;

    fn page(address: u64, record_at: Option<usize>) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES as usize];
        page[8..16].copy_from_slice(&address.to_ne_bytes());
        if let Some(at) = record_at {
            page[at..at + 4].copy_from_slice(&114_u32.to_ne_bytes());
        }
        page
    }

    #[test]
    fn a_record_is_told_from_empty_and_from_old_space() {
        let has = |page: &[u8], position| page_has_record(page, Lsn(position), SEGMENT_BYTES);
        let address = 0x300_2000;
        assert!(has(&page(address, Some(96)), address + 96));
        assert!(!has(&page(address, Some(96)), address + 216));
        assert!(!has(&page(address - SEGMENT_BYTES, Some(96)), address + 96));
        assert!(has(&page(address, Some(24)), address), "after the header");
    }

    #[test]
    fn segments_are_named_as_postgres_does() {
        let name = |position: u64| segment_name(Timeline(2), position / SEGMENT_BYTES, SEGMENT_BYTES);
        assert_eq!(name(0x300_0028), "000000020000000000000003");
        assert_eq!(name(0x5_FF00_0000), "0000000200000005000000FF");
    }

    #[test]
    fn names_of_segments_say_where_they_end() {
        let of = |name| segment_of_name(name, SEGMENT_BYTES);
        assert_eq!(of("0000000B00000002000000FF"), Some(("00000002000000FF", Lsn(0x3_0000_0000))));
        assert_eq!(of("0000000B0000000000000009"), Some(("0000000000000009", Lsn(0xA00_0000))));
        for name in ["", "0000000B.history", "0000000B00000000000000zz", "0000000Bé00000000000009"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn a_standby_is_on_the_newest_timeline_it_has_of_its_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let wal = directory.path().join("pg_wal");
        fs::create_dir(&wal).expect("created");
        for name in ["000000010000000000000003", "000000020000000000000003", "000000010000000000000004"] {
            fs::write(wal.join(name), "").expect("written");
        }
        let at = |end| timeline_before(directory.path(), Lsn(end), SEGMENT_BYTES);
        assert_eq!(at(0x300_0060), Some(Timeline(2)));
        assert_eq!(at(0x400_0000), Some(Timeline(2)), "the end of a segment is in it");
        assert_eq!(at(0x400_0060), Some(Timeline(1)));
        assert_eq!(at(0x500_0060), None);
    }

    #[test]
    fn without_the_segment_there_is_no_record() {
        let directory = tempfile::tempdir().expect("a directory");
        let has = || has_record_at(directory.path(), Timeline::FIRST, Lsn(1), SEGMENT_BYTES);
        assert!(!has());
        // One that cannot be opened may have it: a link to itself.
        let wal = directory.path().join("pg_wal");
        fs::create_dir(&wal).expect("created");
        let segment = wal.join(segment_name(Timeline::FIRST, 0, SEGMENT_BYTES));
        std::os::unix::fs::symlink(&segment, &segment).expect("linked");
        assert!(has());
    }
}
