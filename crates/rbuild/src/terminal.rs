//! Asking on the terminal, also for what must not be seen.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Write},
};

use rbuild_sys::Unechoed;

use crate::failure::Failure;

/// Asks `question` and returns the answer without its end of line.
///
/// # Errors
/// If there is no terminal, or nobody answers.
pub fn ask(question: &str) -> Result<String, Failure> {
    answer(&open(question)?, question)
}

/// Asks for the number of one of `choices`, again until it is one; `None` where nobody watches, or
/// nobody answers.
pub fn choose(question: &str, choices: &[String]) -> Option<usize> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return None;
    }
    let terminal = open(question).ok()?;
    let mut text = format!("{question}\n");
    for (number, choice) in (1..).zip(choices) {
        text += &format!("  {number}) {choice}\n");
    }
    write!(&terminal, "{text}").ok()?;
    loop {
        let said = answer(&terminal, &format!("1 to {}", choices.len())).ok()?;
        match said.trim().parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Some(number - 1),
            _ => {}
        }
    }
}

/// As [`ask`], and what is typed is not shown.
///
/// # Errors
/// As [`ask`].
pub fn ask_secretly(question: &str) -> Result<String, Failure> {
    let terminal = open(question)?;
    let unechoed = Unechoed::new(&terminal)?;
    let answered = answer(&terminal, question);
    drop(unechoed);
    writeln!(&terminal)?;
    answered
}

fn open(question: &str) -> Result<File, Failure> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    terminal.map_err(|_| {
        Failure::message(format!(
            "cannot ask for the {question}: there is no terminal"
        ))
        .with_hint("use --username and --password-stdin")
    })
}

fn answer(terminal: &File, question: &str) -> Result<String, Failure> {
    let mut out = terminal;
    write!(out, "{question}: ")?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    // With signals held back, ^C is a character of the line.
    if line.is_empty() || line.contains('\u{3}') {
        return Err(io::Error::from(io::ErrorKind::Interrupted).into());
    }
    Ok(line.to_owned())
}

/// Nobody types an archive.
///
/// # Errors
/// If standard input, which it would be read from, is a terminal.
pub fn refuse_archive(hint: &str) -> Result<(), Failure> {
    match io::stdin().is_terminal() {
        true => {
            Err(Failure::message("refusing to read an archive from the terminal").with_hint(hint))
        }
        false => Ok(()),
    }
}
