//! All mutants of a file in one text, each behind a number that the run chooses.
//!
//! `a < b` with the mutants 7 (`<=`) and 8 (`>`) becomes
//! `(match crate::mutation::active() { 7 => a <= b, 8 => a > b, _ => a < b })`. One build then
//! serves every mutant, where building them one by one would take most of a day (mutant schemata:
//! Untch, Offutt and Harrold, 1993).

use crate::list::{Mutant, Place};
use proc_macro2::LineColumn;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// What chooses the mutant, as a module of the library.
pub const CHOICE: &str = r#"//! Which mutant runs.

/// The number in the environment, or 0 for none.
pub fn active() -> u32 {
    static ACTIVE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *ACTIVE.get_or_init(|| {
        let number = std::env::var("SYNOD_MUTANT").ok();
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    })
}
"#;

const ACTIVE: &str = "crate::mutation::active()";

/// A piece of the text, and what stands there instead when a mutant is active.
struct Site {
    range: Range<usize>,
    instead: Vec<(u32, String)>,
    shape: Shape,
}

enum Shape {
    /// An expression.
    Expression,
    /// What stands between the braces of a function.
    Body,
    /// An arm of a `match`, up to its arrow: it goes away.
    Arm { is_guarded: bool },
}

/// The text of a file with its mutants in it, and the numbers of those that could not be placed.
pub fn weave(text: &str, mutants: &[&Mutant]) -> Result<(String, Vec<u32>), syn::Error> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder {
        text,
        lines: text
            .split_inclusive('\n')
            .scan(0, |at, line| {
                let start = *at;
                *at += line.len();
                Some(start)
            })
            .collect(),
        waiting: mutants.to_vec(),
        sites: Vec::new(),
    };
    finder.visit_file(&file);
    let lost = finder.waiting.iter().map(|mutant| mutant.number).collect();
    let mut sites = finder.sites;
    // Stable: of two sites with one range the outer was found first.
    sites.sort_by_key(|site| (site.range.start, usize::MAX - site.range.end));
    let woven = render(text, 0..text.len(), &sites);
    Ok((woven, lost))
}

/// The text of a range, with the sites inside it.
fn render(text: &str, range: Range<usize>, mut sites: &[Site]) -> String {
    let mut out = String::new();
    let mut at = range.start;
    while let Some((site, rest)) = sites.split_first() {
        let inside = rest
            .iter()
            .take_while(|inner| inner.range.start < site.range.end)
            .count();
        out.push_str(&text[at..site.range.start]);
        let plain = render(text, site.range.clone(), &rest[..inside]);
        out.push_str(&site.wrap(&plain));
        at = site.range.end;
        sites = &rest[inside..];
    }
    out.push_str(&text[at..range.end]);
    out
}

impl Site {
    fn wrap(&self, plain: &str) -> String {
        // Each on a line of its own, so that an error of the compiler points at one mutant.
        let arms: String = self
            .instead
            .iter()
            .map(|(number, text)| format!("\n/*mutant {number}*/ {number} => {{ {} }}", flat(text)))
            .collect();
        match self.shape {
            Shape::Expression => format!("(match {ACTIVE} {{{arms}\n_ => {{ {plain} }} }})"),
            Shape::Body => format!("match {ACTIVE} {{{arms}\n_ => {{ {plain} }} }}"),
            Shape::Arm { is_guarded } => {
                let (number, _) = self.instead[0];
                let joint = if is_guarded { "&&" } else { "if" };
                format!("{plain} {joint} {ACTIVE} != {number} ")
            }
        }
    }
}

/// A text on one line; comments to the end of a line would swallow what follows.
fn flat(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect::<Vec<_>>()
        .join(" ")
}

struct Finder<'a> {
    text: &'a str,
    lines: Vec<usize>,
    waiting: Vec<&'a Mutant>,
    sites: Vec<Site>,
}

impl<'a> Finder<'a> {
    fn offset(&self, at: LineColumn) -> usize {
        let line = self.lines[at.line - 1];
        let rest = self.text[line..].char_indices().nth(at.column);
        rest.map_or(self.text.len(), |(bytes, _)| line + bytes)
    }

    fn range(&self, spanned: &impl Spanned) -> Range<usize> {
        let span = spanned.span();
        self.offset(span.start())..self.offset(span.end())
    }

    fn slice(&self, spanned: &impl Spanned) -> &'a str {
        &self.text[self.range(spanned)]
    }

    /// Takes the mutants of a kind that begin at a place.
    fn take(&mut self, genre: &str, start: LineColumn) -> Vec<&'a Mutant> {
        let start = Place {
            line: start.line,
            column: start.column + 1,
        };
        let here = |mutant: &&Mutant| mutant.genre == genre && mutant.span.start == start;
        let (taken, waiting) = self.waiting.iter().partition(|mutant| here(mutant));
        self.waiting = waiting;
        taken
    }

    fn add(&mut self, range: Range<usize>, shape: Shape, instead: Vec<(u32, String)>) {
        if !instead.is_empty() {
            self.sites.push(Site {
                range,
                instead,
                shape,
            });
        }
    }

    fn add_body(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else {
            return;
        };
        let start = first.span().start();
        let mutants = self.take("FnValue", start);
        let instead = mutants
            .iter()
            .map(|mutant| (mutant.number, mutant.replacement.clone()));
        let end = block.brace_token.span.close().start();
        let range = self.offset(start)..self.offset(end);
        self.add(range, Shape::Body, instead.collect());
    }
}

impl Finder<'_> {
    fn add_deletion(&mut self, arm: &syn::Arm) {
        let mutants = self.take("MatchArm", arm.span().start());
        let instead = mutants.iter().map(|mutant| (mutant.number, String::new()));
        let instead = instead.collect();
        let arrow = self.offset(arm.fat_arrow_token.span().start());
        let is_guarded = arm.guard.is_some();
        let range = self.range(&arm.pat).start..arrow;
        self.add(range, Shape::Arm { is_guarded }, instead);
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.add_body(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        self.add_body(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        let (left, right) = (self.slice(&binary.left), self.slice(&binary.right));
        let mutants = self.take("BinaryOperator", binary.op.span().start());
        let instead = mutants.iter().map(|mutant| {
            let text = format!("{left} {} {right}", mutant.replacement);
            (mutant.number, text)
        });
        let instead = instead.collect();
        self.add(self.range(binary), Shape::Expression, instead);
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'a syn::ExprUnary) {
        let operand = self.slice(&unary.expr);
        let mutants = self.take("UnaryOperator", unary.op.span().start());
        let instead = mutants
            .iter()
            .map(|mutant| (mutant.number, format!("{}{operand}", mutant.replacement)));
        let instead = instead.collect();
        self.add(self.range(unary), Shape::Expression, instead);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, it: &'a syn::ExprMatch) {
        let is_default =
            |arm: &syn::Arm| matches!(arm.pat, syn::Pat::Wild(_)) && arm.guard.is_none();
        // Without one, what is left would not cover all cases, and does not compile.
        if it.arms.iter().any(is_default) {
            for arm in &it.arms {
                self.add_deletion(arm);
            }
        }
        visit::visit_expr_match(self, it);
    }

    fn visit_arm(&mut self, arm: &'a syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let mutants = self.take("MatchArmGuard", guard.span().start());
            let instead = mutants
                .iter()
                .map(|mutant| (mutant.number, mutant.replacement.clone()));
            let instead = instead.collect();
            self.add(self.range(guard.as_ref()), Shape::Expression, instead);
        }
        visit::visit_arm(self, arm);
    }

    // A constant cannot ask which mutant is active.
    fn visit_item_const(&mut self, _: &'a syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'a syn::ImplItemConst) {}
}
