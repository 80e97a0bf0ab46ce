//! In which order hits come, and the cursor that says where a page ended. In: a name or a cursor as asked; out: an
//! [`Order`] or a [`Rank`], or what is wrong with it.

use super::QueryError;
use super::collect::Rank;

/// The orders there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Newest first.
    Time,
    /// Best match first (BM25).
    Relevance,
    /// Highest level first, newest first within a level.
    Level,
}

impl Order {
    /// Reads a name; nothing is by time.
    pub fn parse(name: Option<&str>) -> Result<Order, QueryError> {
        match name {
            None | Some("" | "time") => Ok(Order::Time),
            Some("relevance") => Ok(Order::Relevance),
            Some("level") => Ok(Order::Level),
            Some("heat") => Err(QueryError::Syntax(
                "sort heat: a mention keeps no heat; sort=level gives the gravest first, then the newest".to_owned(),
            )),
            Some(other) => Err(QueryError::Syntax(format!("sort {other} is none of time, relevance, level"))),
        }
    }

    /// Marks the cursors of this order.
    fn mark(self) -> char {
        match self {
            Order::Time => 't',
            Order::Relevance => 'r',
            Order::Level => 'l',
        }
    }

    /// Where a page ended.
    pub fn cursor(self, rank: Rank) -> String {
        format!("{}{:08x}{:016x}{:016x}", self.mark(), rank.score, rank.created as u64, rank.tie)
    }

    /// Reads where a page ended.
    pub fn read(self, text: &str) -> Result<Rank, QueryError> {
        let read = || -> Option<Rank> {
            let digits = text.strip_prefix(self.mark())?;
            if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            Some(Rank {
                score: u32::from_str_radix(&digits[..8], 16).ok()?,
                created: u64::from_str_radix(&digits[8..24], 16).ok()? as i64,
                tie: u64::from_str_radix(&digits[24..], 16).ok()?,
            })
        };
        read().ok_or_else(|| {
            QueryError::Syntax("this cursor is not of a page with this order; begin again without a cursor".to_owned())
        })
    }
}
