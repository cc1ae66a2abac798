use super::super::disk::{Crash, Disk};
use super::super::error::Damage;
use super::super::file_system::Directory;
use super::*;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use std::fs;

/// A map that grows and is trimmed. A change sets or removes an entry.
#[derive(Clone, Debug, Default, PartialEq)]
struct Map(std::collections::BTreeMap<u32, String>);

impl Delta for Map {
    type Change = (u32, Option<String>);

    fn changes(&self, before: Option<&Self>) -> Vec<Self::Change> {
        let empty = Map::default();
        let before = &before.unwrap_or(&empty).0;
        let gone = before.keys().filter(|key| !self.0.contains_key(key));
        let is_new = |(key, value): &(&u32, &String)| before.get(key) != Some(value);
        let set = self
            .0
            .iter()
            .filter(is_new)
            .map(|(key, value)| (*key, Some(value.clone())));
        gone.map(|key| (*key, None)).chain(set).collect()
    }

    fn apply(before: Option<Self>, (key, value): Self::Change) -> Option<Self> {
        let mut map = before.unwrap_or_default();
        match value {
            Some(value) => drop(map.0.insert(key, value)),
            None => drop(map.0.remove(&key)?),
        }
        Some(map)
    }
}

const SMALL: Sizes = Sizes {
    room: 100,
    appended_min: 400,
};

fn open<M: FileSystem>(files: M) -> Result<(Log<M>, Recovered<Map>), Error> {
    Log::open(files, SMALL, 7, Id::from(1))
}

impl<M: FileSystem> Log<M> {
    fn save<C: Serialize>(&mut self, changes: &[C]) -> Result<(), Error> {
        self.append(changes)?;
        self.sync()
    }
}

/// A log, and its last save.
struct Saver {
    log: Log<Disk>,
    state: Option<Map>,
}

impl Saver {
    fn open(disk: &Disk) -> Result<Self, Error> {
        let (log, Recovered { state, .. }) = open(disk.clone())?;
        Ok(Saver { log, state })
    }

    fn save(&mut self, next: Map) -> Result<(), Error> {
        let changes = next.changes(self.state.as_ref());
        self.state = Some(next);
        self.log.save(&changes)?;
        if let Some(state) = &self.state {
            self.log.compact(state)?;
        }
        Ok(())
    }
}

/// Returns the map after a number of saves: each adds an entry, and the last ten are kept.
fn map(saves: u32) -> Map {
    let entries = saves.saturating_sub(10)..saves;
    let entry = |key| (key, "x".repeat(key as usize % 7));
    Map(entries.map(entry).collect())
}

fn saved(saves: u32) -> (Disk, Saver) {
    let disk = Disk::default();
    let mut saver = Saver::open(&disk).unwrap();
    for count in 1..=saves {
        saver.save(map(count)).unwrap();
    }
    (disk, saver)
}

fn only_file(disk: &Disk) -> String {
    let mut names = disk.names().unwrap();
    names.retain(|name| generation(name).is_some());
    assert_eq!(names.len(), 1, "{names:?}");
    names.remove(0)
}

fn damage(refused: Error) -> (usize, Damage) {
    match refused {
        Error::Damaged { offset, damage, .. } => (offset, damage),
        other => panic!("{other}"),
    }
}

/// The damage for which a log is refused, and where it is.
fn damage_of(disk: Disk) -> (usize, Damage) {
    damage(open(disk).err().unwrap())
}

#[test]
fn what_was_saved_last_is_read_back_however_often_the_file_was_replaced() {
    for saves in 0..100 {
        let (disk, saver) = saved(saves);
        let files = saver.log.file.generation;
        assert!(saves > 5 || files == 0, "{saves} saves fit into one");
        assert!(saves < 90 || files > 1, "{saves} saves do not");
        let recovered = open(disk).unwrap().1;
        assert_eq!(recovered.state, (saves > 0).then(|| map(saves)));
        assert_eq!(recovered.torn_tail, None);
    }
}

#[test]
fn what_is_written_is_bounded_by_the_changes() {
    let (disk, mut saver) = saved(0);
    // A large state that changes little.
    let large = (0..2000).map(|key| (key, "y".repeat(20))).collect();
    saver.save(Map(large)).unwrap();
    let large = saver.log.snapshot;
    for key in 0..200 {
        let mut next = saver.state.clone().unwrap();
        next.0.insert(key, "z".repeat(20));
        saver.save(next).unwrap();
    }
    // Too little was appended to write it all again.
    assert_eq!(saver.log.snapshot, large);
    assert!(saver.log.end - large < 200 * 60);
    assert_eq!(open(disk).unwrap().1.state, saver.state);
}

#[test]
fn a_record_torn_at_any_byte_is_cut_and_the_one_before_it_remembered() {
    let (disk, mut saver) = saved(12);
    let (name, end) = (only_file(&disk), saver.log.end as usize);
    saver.save(map(13)).unwrap();
    let longer = saver.log.end as usize;
    assert_eq!(name, only_file(&disk), "the same file");
    let whole = disk.read(&name).unwrap();
    for torn in end..longer {
        // The rest is zeros, or is missing.
        for is_short in [false, true] {
            let disk = disk.copy();
            disk.tamper(&name, |content| {
                content[torn..].fill(0);
                if is_short {
                    content.truncate(torn);
                }
            });
            let (mut log, recovered) = open(disk.clone()).unwrap();
            assert_eq!(recovered.state, Some(map(12)), "torn at byte {torn}");
            let written = whole[end..torn].iter().rposition(|byte| *byte != 0);
            let written = written.map(|last| (end as u64, last as u64 + 1));
            let cut = recovered.torn_tail.map(|it| (it.offset, it.bytes));
            assert_eq!(cut, written);
            // The log can be used.
            log.save(&map(13).changes(Some(&map(12)))).unwrap();
            let Recovered { state, torn_tail } = open(disk).unwrap().1;
            assert_eq!((state, torn_tail), (Some(map(13)), None));
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_cuts_the_last_record_and_is_never_believed() {
    // Records alone, and records behind a snapshot.
    for is_reopened in [false, true] {
        let (disk, mut saver) = saved(8);
        if is_reopened {
            saver = Saver::open(&disk).unwrap();
            (9..12).for_each(|saves| saver.save(map(saves)).unwrap());
        }
        let last = saver.log.end as usize;
        let saves = if is_reopened { 12 } else { 9 };
        saver.save(map(saves)).unwrap();
        let (name, end) = (only_file(&disk), saver.log.end as usize);
        for bit in 0..8 * end {
            let disk = disk.copy();
            disk.tamper(&name, |content| content[bit / 8] ^= 1 << (bit % 8));
            match open(disk) {
                Ok((_, recovered)) => {
                    assert!(bit / 8 >= last, "bit {bit} of an early record");
                    assert_eq!(recovered.state, Some(map(saves - 1)));
                    assert_eq!(recovered.torn_tail.unwrap().offset as usize, last);
                }
                Err(refused) => {
                    assert!(bit / 8 < last, "{refused}");
                    let text = refused.to_string();
                    assert!(text.contains(&name), "{text}");
                    let (offset, _) = damage(refused);
                    assert!(offset <= bit / 8);
                }
            }
        }
    }
}

#[test]
fn a_file_cut_short_inside_its_header_or_snapshot_is_refused() {
    let (disk, _) = saved(8);
    let saver = Saver::open(&disk).unwrap();
    let (name, snapshot) = (only_file(&disk), saver.log.snapshot as usize);
    for length in 0..snapshot {
        let disk = disk.copy();
        disk.tamper(&name, |content| content.truncate(length));
        let missing = if length < HEADER { HEADER } else { snapshot } - length;
        let missing = missing as u64;
        assert_eq!(damage_of(disk), (length, Damage::Short { missing }));
    }
}

#[test]
fn a_damaged_record_with_an_intact_one_behind_it_is_refused_though_its_length_leads_beyond() {
    let (disk, mut saver) = saved(3);
    let third = saver.log.end as usize;
    saver.save(map(4)).unwrap();
    saver.save(map(5)).unwrap();
    let name = only_file(&disk);
    disk.tamper(&name, |content| content[third..third + 4].fill(0xff));
    assert_eq!(damage_of(disk), (third, Damage::Record));
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_saved() {
    let crashes = [Crash::Kept, Crash::Lost, Crash::Torn, Crash::Scattered];
    for seed in 0..40 {
        let mut rng = SmallRng::seed_from_u64(seed);
        for crash in crashes {
            crash_at_every_operation(crash, &mut rng);
        }
    }
}

/// Saves until an operation of the disk fails, for each operation.
fn crash_at_every_operation(crash: Crash, rng: &mut SmallRng) {
    let all = saved(40).0.operations();
    let from = rng.random_range(1..20);
    for operations in (from..all).step_by(19) {
        let disk = Disk::default();
        disk.fail_at(operations);
        let mut durable = 0;
        if let Ok(mut saver) = Saver::open(&disk) {
            while durable < 40 && saver.save(map(durable + 1)).is_ok() {
                durable += 1;
            }
        }
        assert!(disk.has_failed());
        disk.crash(crash, rng);
        // The next start may crash as well, and so on.
        for operations in 1..4 {
            disk.fail_at(operations * rng.random_range(1..3));
            let _ = Saver::open(&disk);
            disk.crash(crash, rng);
        }
        let mut saver = Saver::open(&disk).unwrap();
        let state = saver.state.clone().unwrap_or_default();
        // The failed save may be durable.
        let mut saves = durable..=durable + 1;
        let found = saves.find(|saves| state == map(*saves));
        let found = found.unwrap_or_else(|| panic!("{durable} saves, but {state:?} ({crash:?})"));
        saver.save(map(found + 1)).unwrap();
        assert_eq!(Saver::open(&disk).unwrap().state, Some(map(found + 1)));
    }
}

#[test]
fn the_file_format_is_pinned() {
    let disk = Disk::default();
    let mut log = open(disk.clone()).unwrap().0;
    log.append(&[(300_u32, Some("x".to_owned()))]).unwrap();
    let mut expected = b"SynodLog\x02\0\0\0".to_vec();
    for field in [7_u64, 1, 0] {
        expected.extend(field.to_le_bytes());
    }
    let seed = crc32fast::hash(&expected);
    expected.extend(48_u64.to_le_bytes());
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    let changes = b"\x01\xac\x02\x01\x01x";
    let mut record = [6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    record.extend(crc32fast::hash(changes).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&record);
    record.extend(hasher.finalize().to_le_bytes());
    expected.extend(record);
    expected.extend(changes);
    let content = disk.read("log-0000000000000000").unwrap();
    assert_eq!(content[..expected.len()], expected);
    assert!(content[expected.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_log_of_another_cluster_node_or_number_is_refused() {
    let (disk, _) = saved(1);
    let name = only_file(&disk);
    for (cluster, node, reason) in [
        (8, 1, "it belongs to cluster 7, not to cluster 8"),
        (7, 2, "it belongs to node 1, not to node 2"),
    ] {
        let refused = Log::open::<Map>(disk.copy(), SMALL, cluster, Id::from(node));
        let refused = refused.err().unwrap().to_string();
        assert!(refused.ends_with(reason), "{refused}");
    }
    let mut moved = disk.copy();
    moved.rename(&name, "log-0000000000000005").unwrap();
    let (found, expected) = (0, 5);
    assert_eq!(
        damage_of(moved),
        (28, Damage::Generation { found, expected })
    );
}

#[test]
fn a_log_of_another_type_is_refused() {
    let (disk, _) = saved(3);
    let refused = Log::open::<u32>(disk, SMALL, 7, Id::from(1)).err().unwrap();
    let (_, damage) = damage(refused);
    assert!(matches!(damage, Damage::Value(_) | Damage::Trailing { .. }));
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let disk = Disk::default();
    let mut log = open(disk.clone()).unwrap().0;
    log.append(&[(1_u32, None::<String>)]).unwrap();
    assert_eq!(damage_of(disk), (HEADER + RECORD, Damage::Change));
}

#[test]
fn the_newest_file_counts_even_if_it_is_damaged() {
    let (disk, _) = saved(3);
    let name = only_file(&disk);
    let old = disk.read(&name).unwrap();
    Saver::open(&disk).unwrap();
    let newest = only_file(&disk);
    let mut both = disk.copy();
    both.create(&name).unwrap();
    both.write(0, &old).unwrap();
    both.sync().unwrap();
    assert_eq!(open(both.copy()).unwrap().1.state, Some(map(3)));
    both.tamper(&newest, |content| content[HEADER] ^= 1);
    assert_eq!(damage_of(both), (HEADER, Damage::Record));
}

#[test]
fn random_bytes_are_refused_without_a_panic() {
    let mut rng = SmallRng::seed_from_u64(1);
    let (disk, _) = saved(5);
    let name = only_file(&disk);
    let (cluster, node, generation) = (7, 1, 0);
    let file = FileId {
        cluster,
        node,
        generation,
    };
    for round in 0..20_000 {
        let mut content = disk.read(&name).unwrap();
        let length = rng.random_range(0..content.len());
        if round % 2 == 0 {
            rng.fill_bytes(&mut content[..length]);
        } else {
            // Random bytes in the middle often leave the header intact.
            let end = rng.random_range(length..content.len());
            rng.fill_bytes(&mut content[length..end]);
        }
        if let Ok((Some(state), _)) = format::read::<Map>(&content, &file) {
            assert!((1..=5).any(|saves| state == map(saves)), "{state:?}");
        }
    }
}

#[test]
fn a_directory_remembers() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("node-1");
    let directory = || Directory::open(&path).unwrap();
    let (mut log, recovered) = open(directory()).unwrap();
    assert_eq!(recovered.state, None);
    let mut before = None;
    for saves in 1..=60 {
        log.save(&map(saves).changes(before.as_ref())).unwrap();
        log.compact(&map(saves)).unwrap();
        before = Some(map(saves));
    }
    assert!(log.file.generation > 0);
    drop(log);
    let (log, recovered) = open(directory()).unwrap();
    assert_eq!(recovered.state, before);
    let files = fs::read_dir(&path).unwrap().count();
    assert_eq!(files, 2, "one file and the lock");
    drop(log);
    fs::write(path.join(name(1000)), b"").unwrap();
    let refused = open(directory()).err().unwrap().to_string();
    assert!(refused.contains("log-00000000000003e8"), "{refused}");
}

#[test]
fn a_failed_operation_of_the_directory_is_an_error_with_its_file() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("node-1");
    let (mut log, _) = open(Directory::open(&path).unwrap()).unwrap();
    fs::create_dir(path.join(TEMPORARY)).unwrap();
    let failed = (1..100).find_map(|saves| {
        log.append(&map(saves).changes(None)).unwrap();
        log.compact(&map(saves)).err()
    });
    let text = failed.unwrap().to_string();
    assert!(text.contains("cannot begin"), "{text}");
}
