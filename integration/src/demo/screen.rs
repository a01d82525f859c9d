//! Where the demo speaks: a terminal, where the same place is drawn again, or a file, where lines follow lines.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result};

use crate::demo::table::Paint;

/// A second screen of the terminal, without a cursor; the first is untouched.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// Standard output, as a terminal or not.
#[derive(Debug)]
pub enum Screen {
    /// Drawn over and over.
    Terminal(Drawing),
    /// Line after line.
    Plain,
}

/// The second screen of a terminal. Dropping it brings the first one back.
#[derive(Debug)]
pub struct Drawing {
    paint: Paint,
}

impl Screen {
    /// A screen for what standard output is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(paint: Paint) -> Result<Self> {
        if !std::io::stdout().is_terminal() {
            return Ok(Self::Plain);
        }
        write(ENTER)?;
        Ok(Self::Terminal(Drawing { paint }))
    }

    /// Whether colours may be used.
    #[must_use]
    pub fn paint(&self) -> Paint {
        match self {
            Self::Terminal(drawing) => drawing.paint,
            Self::Plain => Paint::None,
        }
    }

    /// Shows `text` in place of what was shown, or after it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn show(&self, text: &str) -> Result<()> {
        match self {
            Self::Terminal(_) => write(&format!("{HOME_AND_CLEAR}{text}")),
            Self::Plain => write(&format!("{text}\n")),
        }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        // Whoever closed the terminal needs it no more.
        let _ = write(LEAVE);
    }
}

/// Writes a line to standard output; that nobody reads it is an error, not a panic.
///
/// # Errors
/// It cannot be written.
pub fn say(text: &str) -> Result<()> {
    write(&format!("{text}\n"))
}

fn write(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("write to standard output")
}
