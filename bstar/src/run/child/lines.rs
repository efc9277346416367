//! Bytes that a process writes, made lines for the log.

/// What is beyond it in a line is left out, in bytes.
const LONGEST: usize = 4096;

/// A line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// It is longer than what is kept of it.
    cut: bool,
}

impl Lines {
    /// Takes what was written, and hands on each line that it completes.
    pub(super) fn push(&mut self, bytes: &[u8], mut hand_on: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let room = LONGEST - self.begun.len();
            self.cut |= text.len() > room;
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            if complete {
                self.finish(&mut hand_on);
            }
        }
    }

    /// Hands on what was begun, if that is not empty.
    pub(super) fn finish(&mut self, mut hand_on: impl FnMut(&str)) {
        // A terminal that shows the log obeys no process but this one.
        let mut line: String = String::from_utf8_lossy(&self.begun)
            .trim_end()
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        if std::mem::take(&mut self.cut) {
            line.push_str(" [cut]");
        }
        self.begun.clear();
        if !line.is_empty() {
            hand_on(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for part in parts {
            lines.push(part, |line| seen.push(line.to_owned()));
            assert!(lines.begun.len() <= LONGEST);
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let all = ["one", "two", "three"];
        assert_eq!(lines(&[b"one\ntwo\r\n\nthree"]), all);
        assert_eq!(lines(&[b"o", b"ne", b"\n", b"two\nth", b"ree", b""]), all);
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; 3 * LONGEST];
        let seen = lines(&[&long, &long, b"\nnext\n"]);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0], format!("{} [cut]", "x".repeat(LONGEST)));
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn what_is_no_text_does_no_harm() {
        assert_eq!(
            lines(&[b"a\x1b[31m\xff\tb\n"]),
            ["a\u{fffd}[31m\u{fffd}\tb"]
        );
    }
}
