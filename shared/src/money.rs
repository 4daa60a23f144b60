//! Exact money: integers all the way, rounded once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const NANOS_PER_DOLLAR: i128 = 1_000_000_000;
const PICOS_PER_NANO: i128 = 1_000;

/// An amount in pico-dollars (10⁻¹² $): what costs are summed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Picos(pub i128);

/// An amount in nano-dollars (10⁻⁹ $): what is stored and counted. JSON: a decimal string in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

/// A rate in parts per million: 1 000 000 is 1.0. JSON: a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppm(pub u32);

/// The text is not a decimal number of the expected precision, or is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    #[error("not a decimal number such as 12.5")]
    Form,
    #[error("more than {0} decimal places")]
    Precision(u32),
    #[error("out of range")]
    Range,
}

impl Ppm {
    pub const ONE: Self = Self(1_000_000);
}

impl Picos {
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self × rate` in nano-dollars, rounded half to even; the only rounding that a cost undergoes.
    #[must_use]
    pub fn rated(self, rate: Ppm) -> Nanos {
        let scale = PICOS_PER_NANO * i128::from(Ppm::ONE.0);
        let exact = self.0.saturating_mul(i128::from(rate.0));
        let (floor, rest) = (exact.div_euclid(scale), exact.rem_euclid(scale));
        let up = match (rest * 2).cmp(&scale) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => floor & 1,
            std::cmp::Ordering::Greater => 1,
        };
        let nanos = floor + up;
        Nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }

    /// [`Self::rated`] at 1.0.
    #[must_use]
    pub fn round(self) -> Nanos {
        self.rated(Ppm::ONE)
    }
}

impl Nanos {
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Writes `units / 10^places` without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, units: i128, places: usize) -> fmt::Result {
    let scale = 10_i128.pow(u32::try_from(places).unwrap_or(0));
    let sign = if units < 0 { "-" } else { "" };
    let (whole, part) = (units.abs() / scale, units.abs() % scale);
    if part == 0 {
        return write!(f, "{sign}{whole}");
    }
    let digits = format!("{part:0places$}");
    write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// Reads `text × 10^places` as an integer; exponents and blanks are not taken.
fn read_decimal(text: &str, places: u32) -> Result<i128, InvalidDecimal> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(part) {
        return Err(InvalidDecimal::Form);
    }
    let part = part.trim_end_matches('0');
    let missing = u32::try_from(part.len())
        .ok()
        .and_then(|length| places.checked_sub(length))
        .ok_or(InvalidDecimal::Precision(places))?;
    let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<i128>() };
    let whole = number(whole).map_err(|_| InvalidDecimal::Range)?;
    let part = number(part).map_err(|_| InvalidDecimal::Range)?;
    let units = whole
        .checked_mul(10_i128.pow(places))
        .and_then(|units| units.checked_add(part * 10_i128.pow(missing)))
        .ok_or(InvalidDecimal::Range)?;
    Ok(if negative { -units } else { units })
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.0), 9)
    }
}

impl FromStr for Nanos {
    type Err = InvalidDecimal;
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        let units = read_decimal(text, NANOS_PER_DOLLAR.ilog10())?;
        i64::try_from(units).map(Self).map_err(|_| InvalidDecimal::Range)
    }
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.0), 6)
    }
}

impl FromStr for Ppm {
    type Err = InvalidDecimal;
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        u32::try_from(read_decimal(text, 6)?).map(Self).map_err(|_| InvalidDecimal::Range)
    }
}

macro_rules! json_as_text {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

json_as_text!(Nanos, Ppm);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_half_to_even_once() {
        let nanos = |picos| Picos(picos).round().0;
        assert_eq!([nanos(499), nanos(500), nanos(501)], [0, 0, 1]);
        assert_eq!([nanos(1_499), nanos(1_500), nanos(2_500), nanos(2_501)], [1, 2, 2, 3]);
        assert_eq!([nanos(-500), nanos(-501), nanos(-1_500)], [0, -1, -2]);
        // 1 500 ps × 1.000001 is just above the half.
        assert_eq!(Picos(2_500).rated(Ppm(1_000_001)).0, 3);
    }

    #[test]
    fn text_form() {
        assert_eq!(Nanos(1_500_000_000).to_string(), "1.5");
        assert_eq!(Nanos(-1).to_string(), "-0.000000001");
        assert_eq!("0".parse(), Ok(Nanos(0)));
        assert_eq!("0.0000000001".parse::<Nanos>(), Err(InvalidDecimal::Precision(9)));
        assert_eq!("9223372036.9".parse::<Nanos>(), Err(InvalidDecimal::Range));
        for bad in ["", "-", "1.", ".5", "1e3", " 1", "1,5", "+1"] {
            assert_eq!(bad.parse::<Nanos>(), Err(InvalidDecimal::Form), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(nanos: i64, ppm: u32) {
            prop_assert_eq!(Nanos(nanos).to_string().parse(), Ok(Nanos(nanos)));
            prop_assert_eq!(Ppm(ppm).to_string().parse(), Ok(Ppm(ppm)));
        }

        #[test]
        fn rounding_is_never_off_by_more_than_half(picos in -1_000_000_000_000_i128..1_000_000_000_000) {
            let error = picos - i128::from(Picos(picos).round().0) * 1_000;
            prop_assert!(error.abs() <= 500);
        }
    }
}
