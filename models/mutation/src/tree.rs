//! A copy of the project with all mutants in it, and the programs built from that.

use crate::list::Mutant;
use crate::schema;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What was built.
pub struct Built {
    /// The copy.
    pub tree: PathBuf,
    /// The unit tests.
    pub unit: PathBuf,
    /// The tests of the models.
    pub models: PathBuf,
    /// The command.
    pub synod: PathBuf,
    /// The numbers of the mutants that compile.
    pub viable: BTreeSet<u32>,
}

/// Copies the project, weaves the mutants in, leaves out those that do not compile, and builds.
pub fn build(root: &Path, mutants: &[Mutant]) -> Result<Built, Box<dyn Error>> {
    let tree = root.join("target/mutation/tree");
    copy(root, &tree)?;
    std::fs::write(tree.join("src/mutation.rs"), schema::CHOICE)?;
    let lib = std::fs::read_to_string(root.join("src/lib.rs"))?;
    std::fs::write(
        tree.join("src/lib.rs"),
        format!("{lib}\n/// Mutants.\npub mod mutation;\n"),
    )?;
    let mut viable: BTreeSet<u32> = mutants.iter().map(|mutant| mutant.number).collect();
    loop {
        for number in weave(root, &tree, mutants, &viable)? {
            println!("not placed: {}", mutants[number as usize - 1].name);
            viable.remove(&number);
        }
        let output = cargo(&tree, &["check", "--lib", "--message-format=json"])?;
        let faulty = faulty(&tree, &output)?;
        if output.status.success() {
            break;
        }
        if faulty.is_empty() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        viable.retain(|number| !faulty.contains(number));
    }
    let output = cargo(&tree, &["test", "--no-run", "--message-format=json"])?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let mut programs = BTreeMap::new();
    for message in messages(&output) {
        let (Some(program), Some(kind)) = (
            message["executable"].as_str(),
            message["target"]["kind"][0].as_str(),
        ) else {
            continue;
        };
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        programs.insert((kind.to_owned(), is_test), PathBuf::from(program));
    }
    let program = |kind: &str, is_test| {
        let found = programs.get(&(kind.to_owned(), is_test)).cloned();
        found.ok_or(format!("cargo built no {kind}"))
    };
    Ok(Built {
        unit: program("lib", true)?,
        models: program("test", true)?,
        synod: program("bin", false)?,
        tree,
        viable,
    })
}

/// The files that git knows or would take up.
fn copy(root: &Path, tree: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-coz", "--exclude-standard"])
        .output()?;
    for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let to = tree.join(name);
        std::fs::create_dir_all(to.parent().ok_or("a file without a folder")?)?;
        if let Ok(bytes) = std::fs::read(root.join(name))
            && std::fs::read(&to).ok().as_ref() != Some(&bytes)
        {
            std::fs::write(to, bytes)?;
        }
    }
    Ok(())
}

/// Writes the files with their viable mutants; gives back those that have no place in the text.
fn weave(
    root: &Path,
    tree: &Path,
    mutants: &[Mutant],
    viable: &BTreeSet<u32>,
) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut lost = Vec::new();
    let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
    for file in files {
        let here: Vec<&Mutant> = mutants
            .iter()
            .filter(|mutant| mutant.file == file && viable.contains(&mutant.number))
            .collect();
        let text = std::fs::read_to_string(root.join(file))?;
        let (woven, not_placed) = schema::weave(&text, &here)?;
        lost.extend(not_placed);
        std::fs::write(tree.join(file), woven)?;
    }
    Ok(lost)
}

fn cargo(tree: &Path, args: &[&str]) -> Result<Output, std::io::Error> {
    Command::new("cargo")
        .current_dir(tree)
        .args(args)
        .env("RUSTFLAGS", "--cap-lints=warn")
        .env("CARGO_TARGET_DIR", tree.join("../build"))
        .output()
}

fn messages(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The mutants on whose lines the compiler found an error.
fn faulty(tree: &Path, output: &Output) -> Result<BTreeSet<u32>, Box<dyn Error>> {
    let mut faulty = BTreeSet::new();
    for message in messages(output) {
        if message["message"]["level"] != "error" {
            continue;
        }
        let spans = message["message"]["spans"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut found = Vec::new();
        for span in &spans {
            let (Some(file), Some(line)) =
                (span["file_name"].as_str(), span["line_start"].as_u64())
            else {
                continue;
            };
            let text = std::fs::read_to_string(tree.join(file))?;
            let line = text.lines().nth(line as usize - 1).unwrap_or_default();
            let number = line.trim_start().strip_prefix("/*mutant ");
            let number = number.and_then(|rest| rest.split('*').next()?.parse().ok());
            if let Some(number) = number {
                found.push((span["is_primary"].as_bool() == Some(true), number));
            }
        }
        let is_pointed_at = found.iter().any(|(is_primary, _)| *is_primary);
        faulty.extend(
            found
                .into_iter()
                .filter(|(is_primary, _)| *is_primary || !is_pointed_at)
                .map(|(_, number): (bool, u32)| number),
        );
    }
    Ok(faulty)
}
