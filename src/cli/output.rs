//! Printing: results to standard output, progress and errors to standard error.

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Where results and progress go. Colours only if a terminal reads them and `NO_COLOR` is not
/// set; progress only on a terminal.
pub(super) struct Output {
    results: AutoStream<io::Stdout>,
    progress: AutoStream<io::Stderr>,
    shows_progress: bool,
    has_progress: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            results: AutoStream::auto(io::stdout()),
            progress: AutoStream::auto(io::stderr()),
            shows_progress: io::stderr().is_terminal(),
            has_progress: false,
        }
    }

    /// Prints a line of the result.
    pub(super) fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        self.clear_progress();
        writeln!(self.results, "{line}")?;
        self.results.flush()
    }

    /// Replaces the progress line. Failing to show progress is no failure.
    pub(super) fn progress(&mut self, line: impl fmt::Display) {
        if self.shows_progress {
            let _ = write!(self.progress, "\r\x1b[2K{line}");
            let _ = self.progress.flush();
            self.has_progress = true;
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.has_progress) {
            let _ = write!(self.progress, "\r\x1b[2K");
            let _ = self.progress.flush();
        }
    }

    /// Says something that is no result.
    pub(super) fn note(&mut self, note: &dyn fmt::Display) {
        self.clear_progress();
        let _ = writeln!(self.progress, "{note}");
    }

    /// Says what went wrong.
    pub(super) fn error(&mut self, error: &dyn fmt::Display) {
        self.clear_progress();
        let _ = writeln!(self.progress, "{} {error}", bad("error:"));
    }
}

/// Text in a style, which is left out where it cannot be shown.
pub(super) struct Styled<T>(Style, T);

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

/// Bold.
pub(super) fn bold<T: fmt::Display>(text: T) -> Styled<T> {
    Styled(Style::new().bold(), text)
}

/// Subdued.
pub(super) fn dim<T: fmt::Display>(text: T) -> Styled<T> {
    Styled(Style::new().dimmed(), text)
}

/// For what is well.
pub(super) fn good<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Green, text)
}

/// For what is wrong.
pub(super) fn bad<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Red, text)
}

/// For what is neither.
pub(super) fn warn<T: fmt::Display>(text: T) -> Styled<T> {
    coloured(AnsiColor::Yellow, text)
}

/// A number with its thousands grouped: `1,234,567`.
pub(super) fn grouped(number: usize) -> String {
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

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        let shown = [0, 999, 1_000, 1_234_567].map(super::grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
