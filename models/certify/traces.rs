//! Traces that tests write and change.

use serde_json::{Value, json};
use synod::certify::{File, Report, certify};

/// The traces of one run; those of the nodes come first.
#[derive(Clone)]
pub(super) struct Traces {
    pub(super) files: Vec<File>,
}

impl Traces {
    /// Traces of nodes that have taken no steps.
    pub(super) fn empty(nodes: usize, protocol: impl Into<Value>) -> Self {
        let protocol = protocol.into();
        let header = json!({"run": {"cluster": 7, "nodes": nodes, "protocol": protocol}});
        let file = |node| File {
            name: format!("node-{node}"),
            bytes: format!("{header}\n").into_bytes(),
        };
        Traces {
            files: (0..nodes).map(file).collect(),
        }
    }

    /// The lines of a file, of which the first is about the run.
    pub(super) fn lines(&self, file: usize) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.files[file].bytes);
        let lines = text.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("a line of JSON")).collect()
    }

    pub(super) fn push(&mut self, file: usize, line: &Value) {
        let bytes = &mut self.files[file].bytes;
        bytes.extend(format!("{line}\n").as_bytes());
    }

    /// Replaces the lines of a file.
    pub(super) fn write(&mut self, file: usize, lines: &[Value]) {
        self.files[file].bytes.clear();
        lines.iter().for_each(|line| self.push(file, line));
    }

    /// Removes the first line that has something in a list.
    pub(super) fn remove(&mut self, file: usize, list: &str) {
        let mut lines = self.lines(file);
        lines.remove(first_with(&lines, list));
        self.write(file, &lines);
    }

    /// Changes the first line that has something in a list.
    pub(super) fn change(&mut self, file: usize, list: &str, change: fn(&mut Vec<Value>)) {
        let mut lines = self.lines(file);
        let at = first_with(&lines, list);
        change(lines[at][list].as_array_mut().expect("a list"));
        self.write(file, &lines);
    }

    /// Adds a step.
    pub(super) fn step(
        &mut self,
        node: usize,
        event: Value,
        saves: Value,
        sends: &[(usize, Value)],
    ) {
        let step = json!({
            "node": node, "us": 0, "event": event, "clock": [], "saves": saves, "sends": sends,
        });
        self.push(node, &step);
    }

    /// The state that a node of Basic Paxos or Fast Paxos saved last.
    pub(super) fn saved(&self, node: usize) -> Option<Value> {
        let lines = self.lines(node).into_iter().rev();
        let mut saved = lines.map(|line| line["saves"][0].clone());
        saved.find(|saved| !saved.is_null())
    }

    pub(super) fn report(&self) -> Report {
        certify(&self.files).expect("traces of one run")
    }
}

fn first_with(lines: &[Value], list: &str) -> usize {
    let has = |line: &Value| line[list].as_array().is_some_and(|list| !list.is_empty());
    lines.iter().position(has).expect("there is such a line")
}

/// The same message to each of the other nodes.
pub(super) fn to_others(nodes: usize, me: usize, message: &Value) -> Vec<(usize, Value)> {
    let others = (0..nodes).filter(|node| *node != me);
    others.map(|to| (to, message.clone())).collect()
}
