//! What the judge writes down: one line for what became of one request.

use std::fmt;
use std::str::FromStr;

use super::clock::Moment;
use super::side::Side;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The prober of one server, which asks only that one.
    Prober(Side),
    /// The client over both.
    Client,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This server answered with what it was asked.
    Answered(Side),
    /// The server said that it does not serve.
    Refused,
    /// Nothing came in time; an answer may come yet.
    Silent,
    /// The client gave up at its deadline.
    Failed,
    /// Something came that answers nothing that was asked, or wrongly, or twice.
    Wrong(String),
}

/// One line of the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who asked.
    pub asker: Asker,
    /// When the request was sent; for what belongs to none, when it came.
    pub sent: Moment,
    /// When it came to this end.
    pub ended: Moment,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// Which server answered, if one did.
    #[must_use]
    pub fn answered_by(&self) -> Option<Side> {
        match self.fate {
            Fate::Answered(side) => Some(side),
            Fate::Refused | Fate::Silent | Fate::Failed | Fate::Wrong(_) => None,
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prober(side) => write!(f, "prober-{side}"),
            Self::Client => f.write_str("client"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(side) => write!(f, "answered {side}"),
            Self::Refused => f.write_str("refused"),
            Self::Silent => f.write_str("silent"),
            Self::Failed => f.write_str("failed"),
            Self::Wrong(what) => write!(f, "wrong {}", what.replace('\n', " ")),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asker,
            sent,
            ended,
            fate,
        } = self;
        write!(f, "{sent} {ended} {asker} {fate}")
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let parse = || {
            let mut words = line.splitn(4, ' ');
            let sent = words.next()?.parse().ok()?;
            let ended = words.next()?.parse().ok()?;
            let asker = match words.next()? {
                "prober-a" => Asker::Prober(Side::A),
                "prober-b" => Asker::Prober(Side::B),
                "client" => Asker::Client,
                _ => return None,
            };
            let fate = match words.next()? {
                "answered a" => Fate::Answered(Side::A),
                "answered b" => Fate::Answered(Side::B),
                "refused" => Fate::Refused,
                "silent" => Fate::Silent,
                "failed" => Fate::Failed,
                other => Fate::Wrong(other.strip_prefix("wrong ")?.to_owned()),
            };
            Some(Self {
                asker,
                sent,
                ended,
                fate,
            })
        };
        parse().ok_or_else(|| format!("no record: {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let fates = [
            Fate::Answered(Side::A),
            Fate::Answered(Side::B),
            Fate::Refused,
            Fate::Silent,
            Fate::Failed,
            Fate::Wrong("asked \"1\", got \"2\"".to_owned()),
        ];
        let askers = [
            Asker::Prober(Side::A),
            Asker::Prober(Side::B),
            Asker::Client,
        ];
        for (asker, fate) in askers
            .into_iter()
            .flat_map(|a| fates.clone().map(|f| (a, f)))
        {
            let record = Record {
                asker,
                sent: 12,
                ended: 34,
                fate,
            };
            assert_eq!(record.to_string().parse(), Ok(record));
        }
        assert!("12 34 prober-c refused".parse::<Record>().is_err());
        assert!("12 34 client answered".parse::<Record>().is_err());
    }
}
