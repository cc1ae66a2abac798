//! Every mutant before the tests, the quick ones first.

use crate::list::Mutant;
use crate::tree::Built;
use std::error::Error;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How a mutant ended.
pub enum End {
    /// A stage failed, or did not end.
    Killed {
        /// Which.
        stage: &'static str,
    },
    /// Every stage passed.
    Survived,
}

/// A mutant and its end.
pub struct Fate {
    /// The mutant.
    pub mutant: Mutant,
    /// Its end.
    pub end: End,
}

/// A program that fails if it notices the mutant.
struct Stage {
    name: &'static str,
    program: std::path::PathBuf,
    args: Vec<&'static str>,
    /// Much longer than it takes without a mutant.
    timeout: Duration,
}

/// A mutant may make states without end, or a value of any size.
const MEMORY_KIB: u64 = 4 << 20;

/// Runs all mutants, two at a time on each processor: the unit tests spend much time asleep.
pub fn all(built: &Built, mutants: &[Mutant], is_quick: bool) -> Result<Vec<Fate>, Box<dyn Error>> {
    let mut stages = stages(built);
    stages.truncate(if is_quick { 3 } else { stages.len() });
    for stage in &mut stages {
        let started = Instant::now();
        stage.timeout = Duration::from_secs(600);
        if !passes(built, stage, 0, "baseline")? {
            let log = built.tree.join("../baseline.log");
            return Err(format!("{} fails without a mutant: {}", stage.name, log.display()).into());
        }
        // The machine was free for this one.
        stage.timeout = started.elapsed() * 8 + Duration::from_secs(10);
        println!(
            "{}: {:.1} s without a mutant",
            stage.name,
            started.elapsed().as_secs_f64()
        );
    }
    let next = AtomicUsize::new(0);
    let fates = Mutex::new(Vec::new());
    let workers = 2 * std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, fates, stages) = (&next, &fates, &stages);
            scope.spawn(move || {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let log = format!("worker{worker}");
                    let killer = stages
                        .iter()
                        .find(|stage| !passes(built, stage, mutant.number, &log).unwrap_or(false));
                    let end = match killer {
                        Some(stage) => End::Killed { stage: stage.name },
                        None => End::Survived,
                    };
                    let said = killer.map_or("survived", |stage| stage.name);
                    let seconds = started.elapsed().as_secs_f64();
                    println!("{said:9} {seconds:6.1} s  {}", mutant.name);
                    let mutant = mutant.clone();
                    if let Ok(mut fates) = fates.lock() {
                        fates.push(Fate { mutant, end });
                    }
                }
            });
        }
    });
    let mut fates = fates.into_inner()?;
    fates.sort_by_key(|fate| fate.mutant.number);
    Ok(fates)
}

fn stages(built: &Built) -> Vec<Stage> {
    let stage = |name, program: &std::path::PathBuf, args: &[&'static str]| Stage {
        name,
        program: program.clone(),
        args: args.to_vec(),
        timeout: Duration::ZERO,
    };
    vec![
        stage("unit", &built.unit, &["--test-threads=1"]),
        stage(
            "scenarios",
            &built.models,
            &["--test-threads=1", "--skip", "browser", "traces::"],
        ),
        stage("check", &built.synod, &["check", "--all", "--threads", "1"]),
        stage(
            "models",
            &built.models,
            // Some read the sources, which are not what they were; one is the stage before; some
            // need a browser.
            &[
                "--test-threads=1",
                "--skip=tidy::",
                "--skip=the_edits_of_the_readme",
                "--skip=small_pinned",
                "--skip=browser",
            ],
        ),
    ]
}

/// Whether a stage notices nothing.
fn passes(built: &Built, stage: &Stage, number: u32, log: &str) -> Result<bool, Box<dyn Error>> {
    let log = File::create(built.tree.join(format!("../{log}.log")))?;
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\""))
        .arg(&stage.program)
        .args(&stage.args)
        .current_dir(&built.tree)
        .env("SYNOD_MUTANT", number.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    let mut child = command.spawn()?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if started.elapsed() > stage.timeout {
            // The whole group: a test may have started nodes.
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-9", "--", &group]).status()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
