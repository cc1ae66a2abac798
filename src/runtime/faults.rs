//! Injected faults: by seed, the datagrams of a node are lost, duplicated or reordered.

use super::counters::Counters;
use super::timer::{Schedule, draw};
use rand::Rng;
use rand::rngs::SmallRng;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// The delay of a reordered datagram.
const HOLD: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(8);

/// The greatest number of delayed datagrams; further ones are lost.
const HELD_MAX: usize = 4096;

/// The probabilities, each from 0 to 1, of the faults of an outgoing datagram. There are none by
/// default.
///
/// ```
/// use synod::runtime::Faults;
///
/// let faults: Faults = "loss=0.2,dup=0.1".parse()?;
/// assert_eq!(faults, Faults { loss: 0.2, duplicate: 0.1, reorder: 0.0 });
/// assert_eq!(faults.to_string(), "loss=0.2,dup=0.1,reorder=0");
/// # Ok::<(), synod::runtime::FaultsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// The datagram is not sent.
    pub loss: f64,
    /// The datagram is sent twice.
    pub duplicate: f64,
    /// The datagram, or each of its copies independently, is sent a few milliseconds later, so that
    /// others overtake it.
    pub reorder: f64,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            loss,
            duplicate,
            reorder,
        } = self;
        write!(f, "loss={loss},dup={duplicate},reorder={reorder}")
    }
}

/// The reason why a text is not [`Faults`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultsError {
    /// The text has a part that is not a fault with its probability.
    #[error("`{0}` is not one of loss=P, dup=P and reorder=P, with a probability P from 0 to 1")]
    Unknown(String),
    /// The value of a fault is not a probability.
    #[error("{key} takes a probability from 0 to 1, not `{value}`")]
    Probability {
        /// The fault.
        key: String,
        /// The value.
        value: String,
    },
    /// A fault is given more than once.
    #[error("{0} is given twice")]
    Twice(String),
}

/// A list of `loss=P`, `dup=P` and `reorder=P`, separated by commas, in any order. A fault that is
/// left out does not happen.
impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let [mut loss, mut duplicate, mut reorder] = [None; 3];
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let unknown = || FaultsError::Unknown(part.to_owned());
            let (key, value) = part.split_once('=').ok_or_else(unknown)?;
            let probability = match key {
                "loss" => &mut loss,
                "dup" => &mut duplicate,
                "reorder" => &mut reorder,
                _ => return Err(unknown()),
            };
            let parsed = value.parse().ok().filter(|p| (0.0..=1.0).contains(p));
            if parsed.is_none() {
                let (key, value) = (key.to_owned(), value.to_owned());
                return Err(FaultsError::Probability { key, value });
            }
            if probability.is_some() {
                return Err(FaultsError::Twice(key.to_owned()));
            }
            *probability = parsed;
        }
        Ok(Faults {
            loss: loss.unwrap_or(0.0),
            duplicate: duplicate.unwrap_or(0.0),
            reorder: reorder.unwrap_or(0.0),
        })
    }
}

/// The source of random faults, for the simulator and for sockets.
pub(super) struct Dice {
    faults: Faults,
    rng: SmallRng,
    pub(super) counters: Counters,
}

impl Dice {
    pub(super) fn new(faults: Faults, rng: SmallRng) -> Self {
        Dice {
            faults,
            rng,
            counters: Counters::default(),
        }
    }

    /// Draws the faults of a datagram. Returns the delay of each copy that is to be sent.
    pub(super) fn roll(&mut self) -> [Option<Duration>; 2] {
        let is_lost = self.happens(self.faults.loss);
        let is_doubled = !is_lost && self.happens(self.faults.duplicate);
        self.counters.lost += u64::from(is_lost);
        self.counters.duplicated += u64::from(is_doubled);
        let mut delay = |is_sent: bool| is_sent.then(|| self.delay());
        [delay(!is_lost), delay(is_doubled)]
    }

    fn delay(&mut self) -> Duration {
        if self.happens(self.faults.reorder) {
            self.counters.held += 1;
            draw(&mut self.rng, HOLD)
        } else {
            Duration::ZERO
        }
    }

    /// Draws whether an event with this probability happens. `random_bool` would panic outside of 0
    /// to 1, and the fields of [`Faults`] are public.
    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random::<f64>() < probability
    }
}

/// The faults of the datagrams that leave a socket.
pub(super) struct Injector {
    pub(super) dice: Dice,
    /// The delayed datagrams.
    pub(super) held: Schedule<(SocketAddr, Vec<u8>)>,
}

impl Injector {
    pub(super) fn new(faults: Faults, rng: SmallRng) -> Self {
        Injector {
            dice: Dice::new(faults, rng),
            held: Schedule::new(),
        }
    }

    /// Draws the faults of a datagram. Returns the number of copies that are to be sent at once.
    /// Others may be delayed: see [`Injector::held`].
    pub(super) fn admit(&mut self, now: Duration, to: SocketAddr, datagram: &[u8]) -> usize {
        let mut at_once = 0;
        for delay in self.dice.roll().into_iter().flatten() {
            if delay.is_zero() {
                at_once += 1;
            } else if self.held.len() < HELD_MAX {
                self.held.add(now, delay, (to, datagram.to_owned()));
            } else {
                self.dice.counters.lost += 1;
            }
        }
        at_once
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const TO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    /// Passes datagrams numbered from 0, one per millisecond. Returns them as they are sent.
    fn pass(faults: &str, seed: u64, count: u16) -> (Vec<u16>, Counters) {
        pass_with(faults.parse().unwrap(), seed, count)
    }

    fn pass_with(faults: Faults, seed: u64, count: u16) -> (Vec<u16>, Counters) {
        let mut injector = Injector::new(faults, SmallRng::seed_from_u64(seed));
        let mut sent = Vec::new();
        for number in 0..count + 10 {
            let now = Duration::from_millis(number.into());
            while let Some((to, datagram)) = injector.held.pop_due(now) {
                assert_eq!(to, TO);
                sent.push(u16::from_le_bytes([datagram[0], datagram[1]]));
            }
            if number < count {
                let copies = injector.admit(now, TO, &number.to_le_bytes());
                sent.extend(std::iter::repeat_n(number, copies));
            }
        }
        let late = injector.held.next();
        assert_eq!(late, None, "every delayed datagram is sent in time");
        (sent, injector.dice.counters)
    }

    #[test]
    fn without_faults_every_datagram_is_sent_once_and_in_order() {
        let (sent, counters) = pass("", 1, 100);
        assert!(sent.iter().copied().eq(0..100));
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn certain_loss_lets_nothing_through() {
        let (sent, counters) = pass("loss=1,dup=1,reorder=1", 1, 100);
        assert!(sent.is_empty());
        assert_eq!(counters.lost, 100);
    }

    #[test]
    fn certain_duplication_sends_each_datagram_twice() {
        let (sent, counters) = pass("dup=1", 1, 100);
        assert!(sent.iter().copied().eq((0..100).flat_map(|n| [n, n])));
        assert_eq!(counters.duplicated, 100);
    }

    #[test]
    fn certain_duplication_and_reordering_still_send_each_datagram_twice() {
        let (mut sent, counters) = pass("dup=1,reorder=1", 1, 100);
        assert!(!sent.is_sorted());
        sent.sort_unstable();
        assert!(sent.iter().copied().eq((0..100).flat_map(|n| [n, n])));
        assert_eq!(counters.held, 200);
    }

    #[test]
    fn reordering_lets_datagrams_be_overtaken_and_loses_none() {
        let (mut sent, counters) = pass("reorder=0.3", 1, 1000);
        assert!(!sent.is_sorted());
        sent.sort_unstable();
        assert!(sent.iter().copied().eq(0..1000));
        assert!((250..350).contains(&counters.held), "{}", counters.held);
    }

    #[test]
    fn faults_happen_about_as_often_as_asked_and_by_seed() {
        let faults = "loss=0.2,dup=0.2,reorder=0.2";
        let (sent, counters) = pass(faults, 1, 5000);
        assert!((900..1100).contains(&counters.lost), "{}", counters.lost);
        assert!((700..900).contains(&counters.duplicated));
        assert!((850..1070).contains(&counters.held), "{}", counters.held);
        let expected = 5000 - counters.lost + counters.duplicated;
        assert_eq!(sent.len() as u64, expected);
        assert_eq!((sent.clone(), counters), pass(faults, 1, 5000));
        assert_ne!(sent, pass(faults, 2, 5000).0);
    }

    #[test]
    fn a_probability_out_of_range_does_not_panic() {
        let faults = Faults {
            loss: f64::NAN,
            duplicate: 7.0,
            reorder: -1.0,
        };
        let (sent, _) = pass_with(faults, 1, 10);
        assert_eq!(sent.len(), 20);
    }

    #[test]
    fn faults_are_read_back_as_printed() {
        let one = ["", "loss=0.25"];
        for text in one
            .iter()
            .chain(&["reorder=1,loss=0", "dup=0.125,reorder=1e-3"])
        {
            let faults: Faults = text.parse().unwrap();
            assert_eq!(faults.to_string().parse(), Ok(faults), "{text}");
        }
    }

    #[test]
    fn a_wrong_fault_is_refused_with_its_name_and_what_it_takes() {
        let known = "is not one of loss=P, dup=P and reorder=P, with a probability P from 0 to 1";
        let takes = "takes a probability from 0 to 1, not";
        for (text, error) in [
            ("loss=2", format!("loss {takes} `2`")),
            ("loss=0,dup=x", format!("dup {takes} `x`")),
            ("reorder=NaN", format!("reorder {takes} `NaN`")),
            ("loss=-0.1", format!("loss {takes} `-0.1`")),
            ("loss=", format!("loss {takes} ``")),
            ("loss=0,loss=0", "loss is given twice".to_owned()),
            ("delay=1", format!("`delay=1` {known}")),
            ("loss=0,", format!("`` {known}")),
        ] {
            assert_eq!(text.parse::<Faults>().unwrap_err().to_string(), error);
        }
    }
}
