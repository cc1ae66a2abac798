//! What the dependencies must be like: licences, and the version of Rust that they need.

use super::Source;
use serde::Deserialize;
use serde_json::Value;
use std::process::Command;

/// The part of `deny.toml` that is read here.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

/// All packages that are built on this machine, as cargo tells of them.
fn packages() -> Vec<Value> {
    let host = std::env::consts::ARCH.to_owned() + "-unknown-linux-gnu";
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .args(["--filter-platform", &host])
        .output();
    let output = output.expect("cargo can be run");
    let problem = String::from_utf8_lossy(&output.stderr);
    let metadata: Value = serde_json::from_slice(&output.stdout).expect(&problem);
    let packages = metadata["packages"].as_array().expect("packages").clone();
    assert!(packages.len() > 50, "{} packages", packages.len());
    packages
}

/// Whether an expression of SPDX is met by what is allowed: one of several `OR`, all of several
/// `AND`, which binds more tightly; `/` is an old `OR`, and a `+` or an exception only adds rights.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    if let (Some(open), Some(close)) = (expression.find('('), expression.rfind(')')) {
        let inner = match is_allowed(&expression[open + 1..close], allowed) {
            true => allowed[0].as_str(),
            false => "none",
        };
        let whole = [&expression[..open], inner, &expression[close + 1..]].concat();
        return is_allowed(&whole, allowed);
    }
    let is_one = |licence: &str| {
        let name = licence.split(" WITH ").next().unwrap_or_default().trim();
        allowed.iter().any(|it| it == name.trim_end_matches('+'))
    };
    let mut choices = expression.split(" OR ");
    choices.any(|choice| choice.split(" AND ").all(is_one))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
    for (expression, is_fine) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(GPL-3.0 OR Apache-2.0) AND Unicode-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is_fine, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_accepted() {
    let deny: Deny = toml::from_str(&Source::read("deny.toml").text).expect("TOML");
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        let (name, is_fine) = (&package["name"], is_allowed(licence, &deny.licenses.allow));
        assert!(is_fine, "{name}: {licence:?} is not in deny.toml");
    }
}

/// A version as numbers; what is missing is 0.
fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = text.split('.').flat_map(str::parse).collect();
    numbers.resize(3, 0);
    numbers
}

/// Red if the Rust that `Cargo.toml` promises to be enough is too old for a dependency. That it is
/// new enough for our own code is for clippy to say (`incompatible_msrv`).
#[test]
fn no_dependency_needs_a_newer_rust_than_we_promise() {
    let promised = version(env!("CARGO_PKG_RUST_VERSION"));
    assert!(promised > version("1"), "no version is promised");
    for package in packages() {
        let needed = package["rust_version"].as_str().unwrap_or("1");
        let is_enough = version(needed) <= promised;
        assert!(is_enough, "{} needs Rust {needed}", package["name"]);
    }
}
