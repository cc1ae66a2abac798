//! Changes every operator, guard and result of the protocol files, one at a time, and runs the
//! tests.
//!
//! `cargo mutants` says what there is to change; [`schema`] puts all of it into one build, behind a
//! number; [`run`] has every number face the tests. What survives must be explained in
//! `survivors.toml`, or this fails. Arguments are parts of the names of those to run; `--quick`
//! leaves out the slowest of the tests.

mod list;
mod run;
mod schema;
mod tree;

use list::Mutant;
use run::{End, Fate};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The files that the rules of the protocols stand in.
const FILES: [&str; 7] = [
    "src/basic/**",
    "src/multi/**",
    "src/fast/**",
    "src/rounds.rs",
    "src/ballot.rs",
    "src/quorum.rs",
    "src/vote.rs",
];

/// A mutant that no test can tell from what it was made from, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    file: String,
    change: String,
    line: String,
    why: String,
}

/// `survivors.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivors {
    #[serde(default)]
    survivor: Vec<Explained>,
}

impl Explained {
    fn explains(&self, mutant: &Mutant) -> bool {
        self.file == mutant.file && self.change == mutant.change() && self.line == mutant.line
    }
}

fn main() -> ExitCode {
    match all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the mutants, and returns whether every one was killed or is explained.
fn all() -> Result<bool, Box<dyn Error>> {
    let (flags, only): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let is_quick = flags.iter().any(|flag| flag == "--quick");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let survivors: Survivors = toml::from_str(&std::fs::read_to_string(
        root.join("models/mutation/survivors.toml"),
    )?)?;
    let started = Instant::now();
    let mut mutants = mutants(&root)?;
    let built = tree::build(&root, &mutants)?;
    let unviable = mutants.len() - built.viable.len();
    let names: String = mutants
        .iter()
        .filter(|mutant| !built.viable.contains(&mutant.number))
        .map(|mutant| format!("{}\n", mutant.name))
        .collect();
    std::fs::write(root.join("target/mutation/unviable.txt"), names)?;
    mutants.retain(|mutant| {
        built.viable.contains(&mutant.number)
            && (only.is_empty() || only.iter().any(|part| mutant.name.contains(part)))
    });
    println!(
        "{} mutants to run, {unviable} do not compile; built in {:.0} s",
        mutants.len(),
        started.elapsed().as_secs_f64()
    );
    let fates = run::all(&built, &mutants, is_quick)?;
    let is_fine = report(&fates, &survivors, only.is_empty());
    println!(
        "{unviable:5} do not compile\nin {:.0} s",
        started.elapsed().as_secs_f64()
    );
    Ok(is_fine)
}

/// Prints the fates of mutants, and returns whether every one was killed or is explained.
fn report(fates: &[Fate], survivors: &Survivors, is_complete: bool) -> bool {
    let mut is_fine = true;
    let mut counts = BTreeMap::new();
    for Fate { mutant, end } in fates {
        let explained = survivors.survivor.iter().find(|why| why.explains(mutant));
        let kind = match (end, explained) {
            (End::Survived, None) => {
                is_fine = false;
                println!("SURVIVED {}\n         {}", mutant.name, mutant.line);
                "survived, unexplained"
            }
            (End::Survived, Some(_)) => "survived, explained",
            (End::Killed { stage, .. }, why) => {
                if let Some(why) = why {
                    is_fine = false;
                    println!("KILLED   {}\n         although {}", mutant.name, why.why);
                }
                stage
            }
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    if is_complete {
        for why in &survivors.survivor {
            if !fates.iter().any(|fate| why.explains(&fate.mutant)) {
                is_fine = false;
                println!("GONE     {}: {} in `{}`", why.file, why.change, why.line);
            }
        }
    }
    for (kind, count) in counts {
        println!("{count:5} {kind}");
    }
    is_fine
}

/// What there is to change, numbered from 1.
fn mutants(root: &Path) -> Result<Vec<Mutant>, Box<dyn Error>> {
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .args(["mutants", "--list", "--json"]);
    for file in FILES {
        command.args(["--file", file]);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!(
            "cargo mutants does not list the mutants (is it installed? cargo install cargo-mutants \
             --locked):\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let mut mutants: Vec<Mutant> = serde_json::from_slice(&output.stdout)?;
    let mut texts = BTreeMap::new();
    for (mutant, number) in mutants.iter_mut().zip(1..) {
        mutant.number = number;
        if !texts.contains_key(&mutant.file) {
            let text = std::fs::read_to_string(root.join(&mutant.file))?;
            texts.insert(mutant.file.clone(), text);
        }
        let line = texts[&mutant.file].lines().nth(mutant.span.start.line - 1);
        mutant.line = line.unwrap_or_default().trim().to_owned();
    }
    Ok(mutants)
}
