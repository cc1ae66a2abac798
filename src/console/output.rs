//! Printing: results to standard output, progress and errors to standard error.

use super::Error;
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use terminal_size::terminal_size_of;

/// The streams of a command. Colours are printed only on a terminal and without `NO_COLOR`,
/// progress only on a terminal.
pub struct Output {
    results: AutoStream<io::Stdout>,
    progress: AutoStream<io::Stderr>,
    shows_progress: bool,
    /// The columns that the progress line takes at present.
    shown: usize,
}

impl Default for Output {
    /// Standard output and standard error.
    fn default() -> Self {
        Self {
            results: AutoStream::auto(io::stdout()),
            progress: AutoStream::auto(io::stderr()),
            shows_progress: io::stderr().is_terminal(),
            shown: 0,
        }
    }
}

impl Output {
    /// Prints a line of the result.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), Error> {
        self.clear_progress();
        writeln!(self.results, "{line}")?;
        Ok(self.results.flush()?)
    }

    /// Replaces the progress line, which is cut to the width of the terminal. A failure to show
    /// progress is ignored.
    pub fn progress(&mut self, line: impl fmt::Display) {
        if self.shows_progress {
            let columns = terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0.into());
            self.overwrite(&fitted(&line.to_string(), columns));
        }
    }

    fn clear_progress(&mut self) {
        if self.shown > 0 {
            self.overwrite("");
            let _ = write!(self.progress, "\r");
        }
    }

    /// Writes over the progress line. Blanks and a return do it on every terminal, where an escape
    /// sequence may be unknown or stripped.
    fn overwrite(&mut self, line: &str) {
        let blanks = self.shown;
        let _ = write!(self.progress, "\r{line:<blanks$}");
        let _ = self.progress.flush();
        self.shown = line.chars().count();
    }

    /// Prints a remark that is not part of the result.
    pub fn note(&mut self, note: &dyn fmt::Display) {
        self.clear_progress();
        let _ = writeln!(self.progress, "{note}");
    }

    /// Prints an error.
    pub fn error(&mut self, error: &dyn fmt::Display) {
        self.clear_progress();
        let _ = writeln!(self.progress, "{} {error}", bad("error:"));
    }
}

/// A line cut so that it leaves the last column free: some terminals wrap a line that fills it.
fn fitted(line: &str, columns: usize) -> String {
    line.chars().take(columns.saturating_sub(1)).collect()
}

/// Text with a style, which [`Output`] removes where it cannot be shown.
pub struct Styled<T>(Style, T);

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.1.fmt(f)?;
        write!(f, "{:#}", self.0)
    }
}

fn coloured<T>(colour: AnsiColor, text: T) -> Styled<T> {
    Styled(Style::new().fg_color(Some(colour.into())).bold(), text)
}

/// Bold text.
pub fn bold<T: fmt::Display>(text: T) -> Styled<T> {
    Styled(Style::new().bold(), text)
}

/// Subdued text.
pub fn dim<T: fmt::Display>(text: T) -> Styled<T> {
    Styled(Style::new().dimmed(), text)
}

/// Text about a success.
pub fn good<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Green, text)
}

/// Text about a failure.
pub fn bad<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Red, text)
}

/// The mark of a success or a failure.
pub fn mark(is_good: bool) -> Styled<&'static str> {
    if is_good { good("✓") } else { bad("✗") }
}

/// Text about neither a success nor a failure.
pub fn warn<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Yellow, text)
}

/// Prose in lines of at most so many columns, each after `indent` spaces.
pub fn wrap(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.trim().split("\n\n") {
        let mut line = " ".repeat(indent);
        for word in paragraph.split_whitespace() {
            let is_full = line.chars().count() + 1 + word.chars().count() > columns;
            if is_full && line.trim() != "" {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            }
            let separator = if line.trim() == "" { "" } else { " " };
            line = line + separator + word;
        }
        lines.push(line);
    }
    lines
}

/// A number with its thousands grouped: `1,234,567`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 node`, `3 nodes`, `2 crashes`, `1,000 queries`.
pub fn many(number: u64, one: &str) -> String {
    let count = grouped(usize::try_from(number).unwrap_or(usize::MAX));
    let stem = one.strip_suffix('y');
    let stem = stem.filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match (number, stem) {
        (1, _) => format!("{count} {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ if ["ch", "sh", "s", "x"].iter().any(|end| one.ends_with(end)) => {
            format!("{count} {one}es")
        }
        _ => format!("{count} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn nouns_follow_their_number() {
        for (number, one, shown) in [
            (0, "node", "0 nodes"),
            (1, "crash", "1 crash"),
            (2, "crash", "2 crashes"),
            (1_000, "box", "1,000 boxes"),
            (3, "history", "3 histories"),
            (2, "key", "2 keys"),
        ] {
            assert_eq!(many(number, one), shown);
        }
    }
}
