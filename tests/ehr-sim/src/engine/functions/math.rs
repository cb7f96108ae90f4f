//! Mathematical functions.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use super::{Builtin, first, float, int, int_of};
use crate::engine::exec::Exec;
use crate::engine::message::{self, Result};
use crate::engine::plan::Bound;
use crate::engine::value::convert::{self, Fit};
use crate::types::{Datum, SqlType};

pub const LIST: &[Builtin] = &[
    Builtin::new("ABS", (1, 1), numeric, abs),
    Builtin::new("SIGN", (1, 1), numeric, sign),
    Builtin::new("FLOOR", (1, 1), whole, |_, a| round_to(&a[0], f64::floor, i128::div_euclid)),
    Builtin::new("CEILING", (1, 1), whole, |_, a| round_to(&a[0], f64::ceil, |n, by| -(-n).div_euclid(by))),
    Builtin::new("ROUND", (2, 3), numeric, round),
    Builtin::new("POWER", (2, 2), numeric, power),
    Builtin::new("SQRT", (1, 1), float, |_, a| {
        float_function(&a[0], |f| if f < 0.0 { f64::NAN } else { f.sqrt() })
    }),
    Builtin::new("EXP", (1, 1), float, |_, a| float_function(&a[0], f64::exp)),
    Builtin::new("LOG", (1, 1), float, |_, a| {
        float_function(&a[0], |f| if f <= 0.0 { f64::NAN } else { f.ln() })
    }),
    Builtin::new("LOG10", (1, 1), float, |_, a| {
        float_function(&a[0], |f| if f <= 0.0 { f64::NAN } else { f.log10() })
    }),
    Builtin::new("RAND", (0, 1), float, rand),
    Builtin::new("ISNUMERIC", (1, 1), int, is_numeric),
];

/// The argument's type, small integers widened to int and text to float.
fn numeric(args: &[Bound]) -> Result<SqlType> {
    Ok(match first(args)? {
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int => SqlType::Int,
        SqlType::Real => SqlType::Float,
        SqlType::SmallMoney => SqlType::Money,
        t if t.is_text() => SqlType::Float,
        t if t.is_number() && t != SqlType::Bit => t,
        t => return Err(message::invalid_argument(t.name(), 1, "mathematical")),
    })
}

fn whole(args: &[Bound]) -> Result<SqlType> {
    Ok(match numeric(args)? {
        SqlType::Decimal { precision, .. } => SqlType::Decimal { precision, scale: 0 },
        other => other,
    })
}

fn as_float(value: &Datum) -> Result<Option<f64>> {
    Ok(convert::to_float(&convert::convert(value, SqlType::Float, 0, Fit::Cut)?))
}

fn float_function(value: &Datum, f: impl Fn(f64) -> f64) -> Result<Datum> {
    let Some(x) = as_float(value)? else { return Ok(Datum::Null) };
    let y = f(x);
    if y.is_nan() {
        return Err(message::invalid_floating_point());
    }
    if y.is_finite() { Ok(Datum::Float(y)) } else { Err(message::overflow("float")) }
}

fn abs(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(match &args[0] {
        Datum::Decimal(d) => convert::decimal(d.unscaled.abs(), d.precision, d.scale),
        Datum::Money(n) => Datum::Money(n.checked_abs().ok_or_else(|| message::overflow("money"))?),
        Datum::Null => Datum::Null,
        value => match value.as_i64() {
            Some(n) => Datum::BigInt(n.checked_abs().ok_or_else(|| message::overflow("bigint"))?),
            None => Datum::Float(as_float(value)?.unwrap_or(0.0).abs()),
        },
    })
}

fn sign(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    Ok(match as_float(&args[0])? {
        None => Datum::Null,
        Some(0.0) => Datum::Int(0),
        Some(f) => Datum::Int(if f > 0.0 { 1 } else { -1 }),
    })
}

fn round_to(value: &Datum, float: fn(f64) -> f64, exact: fn(i128, i128) -> i128) -> Result<Datum> {
    if let Some(d) = convert::to_decimal(value) {
        return Ok(convert::decimal(exact(d.unscaled, 10i128.pow(u32::from(d.scale))), 38, 0));
    }
    Ok(as_float(value)?.map_or(Datum::Null, |f| Datum::Float(float(f))))
}

fn round(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let Some(places) = int_of(&args[1])? else { return Ok(Datum::Null) };
    let cut = args.get(2).map_or(Ok(Some(0)), int_of)?.unwrap_or(0) != 0;
    if let Some(d) = convert::to_decimal(&args[0]) {
        let drop = i64::from(d.scale).saturating_sub(places);
        if drop <= 0 {
            return Ok(args[0].clone());
        }
        let Some(by) = u32::try_from(drop).ok().and_then(|n| 10i128.checked_pow(n)) else {
            return Ok(convert::decimal(0, d.precision, d.scale));
        };
        let half = if cut { 0 } else { by / 2 * d.unscaled.signum() };
        return Ok(convert::decimal((d.unscaled + half) / by * by, 38, d.scale));
    }
    let Some(f) = as_float(&args[0])? else { return Ok(Datum::Null) };
    let by = 10f64.powi(places.clamp(-300, 300) as i32);
    Ok(Datum::Float(if cut { (f * by).trunc() / by } else { (f * by).round() / by }))
}

fn power(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let (Some(base), Some(exponent)) = (as_float(&args[0])?, as_float(&args[1])?) else {
        return Ok(Datum::Null);
    };
    float_function(&Datum::Float(base), |b| b.powf(exponent))
}

fn rand(exec: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let bits = match args.first() {
        Some(seed) => {
            let n = int_of(seed)?.unwrap_or(0) as u64;
            n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        }
        None => u64::from_le_bytes(exec.session.instance.random::<8>()),
    };
    Ok(Datum::Float((bits >> 11) as f64 / (1u64 << 53) as f64))
}

fn is_numeric(_: &Exec<'_>, args: &[Datum]) -> Result<Datum> {
    let numeric = match &args[0] {
        Datum::Null => false,
        value if value.as_str().is_some() => {
            let blank = value.as_str().is_some_and(|s| s.trim().is_empty());
            !blank
                && (convert::convert(value, SqlType::Float, 0, Fit::Cut).is_ok()
                    || convert::convert(value, SqlType::Money, 0, Fit::Cut).is_ok())
        }
        value => convert::type_of(value).is_number(),
    };
    Ok(Datum::Int(i32::from(numeric)))
}
