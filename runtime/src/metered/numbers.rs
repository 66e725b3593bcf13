//! `::std::i64`, `::std::u64` and `::std::f64`.
//!
//! Everything but reading a number from a text takes constant time.

use rune::Module;
use rune::compile::ContextError;
use rune::runtime::{Protocol, TypeHash};

use super::cost::Cost;
use super::table::{Function, ORDER, Table, Trait, Type, free, free_protocol, of, unreached, with};

const READS: &str = "reads the text";

/// The rows of an integer type; `$n` is how its literals end.
macro_rules! integer {
    ($n:literal; $($more:expr),*) => {
        &[
            with("to", f64::HASH, Cost::Free, "constant time", concat!("10", $n, ".to::<f64>()")),
            free_protocol(&Protocol::MAX, concat!("1", $n, ".max(2", $n, ")")),
            free_protocol(&Protocol::MIN, concat!("1", $n, ".min(2", $n, ")")),
            free("pow", concat!("2", $n, ".pow(5)")),
            free("checked_add", concat!("1", $n, ".checked_add(2", $n, ")")),
            free("checked_sub", concat!("3", $n, ".checked_sub(2", $n, ")")),
            free("checked_div", concat!("1", $n, ".checked_div(0", $n, ")")),
            free("checked_mul", concat!("3", $n, ".checked_mul(2", $n, ")")),
            free("checked_rem", concat!("3", $n, ".checked_rem(2", $n, ")")),
            free("wrapping_add", concat!("3", $n, ".wrapping_add(2", $n, ")")),
            free("wrapping_sub", concat!("3", $n, ".wrapping_sub(2", $n, ")")),
            free("wrapping_div", concat!("3", $n, ".wrapping_div(2", $n, ")")),
            free("wrapping_mul", concat!("3", $n, ".wrapping_mul(2", $n, ")")),
            free("wrapping_rem", concat!("3", $n, ".wrapping_rem(2", $n, ")")),
            free("saturating_add", concat!("3", $n, ".saturating_add(2", $n, ")")),
            free("saturating_sub", concat!("3", $n, ".saturating_sub(2", $n, ")")),
            free("saturating_mul", concat!("3", $n, ".saturating_mul(2", $n, ")")),
            free("saturating_pow", concat!("3", $n, ".saturating_pow(2)")),
            free("to_string", concat!("3", $n, ".to_string()")),
            free_protocol(&Protocol::CLONE, concat!("3", $n, ".clone()")),
            free_protocol(&Protocol::PARTIAL_EQ, concat!("3", $n, ".eq(3", $n, ")")),
            unreached(&Protocol::EQ, Cost::Free),
            free_protocol(&Protocol::PARTIAL_CMP, concat!("3", $n, ".partial_cmp(4", $n, ")")),
            free_protocol(&Protocol::CMP, concat!("3", $n, ".cmp(4", $n, ")")),
            $($more),*
        ]
    };
}

const I64: &[Function] = integer!["";
    free("abs", "(-1).abs()"),
    free("saturating_abs", "(-1).saturating_abs()"),
    free("signum", "(-5).signum()"),
    free("is_positive", "(1.is_positive(), (-1).is_positive())"),
    free("is_negative", "(1.is_negative(), (-1).is_negative())")
];

const U64: &[Function] = integer!["u64";];

const F64: &[Function] = &[
    free("is_nan", "1.0.is_nan()"),
    free("is_infinite", "1.0.is_infinite()"),
    free("is_finite", "1.0.is_finite()"),
    free("is_subnormal", "1.0.is_subnormal()"),
    free("is_normal", "1.0.is_normal()"),
    free_protocol(&Protocol::MAX, "1.0.max(2.0)"),
    free_protocol(&Protocol::MIN, "1.0.min(2.0)"),
    free("sqrt", "4.0.sqrt()"),
    free("abs", "(-4.0).abs()"),
    free("powf", "4.0.powf(2.0)"),
    free("powi", "4.0.powi(2)"),
    free("floor", "1.5.floor()"),
    free("ceil", "1.5.ceil()"),
    free("round", "1.5.round()"),
    with("to", i64::HASH, Cost::Free, "constant time", "1.5.to::<i64>()"),
    free_protocol(&Protocol::CLONE, "1.5.clone()"),
    free_protocol(&Protocol::PARTIAL_EQ, "1.5.eq(1.5)"),
    unreached(&Protocol::EQ, Cost::Free),
    free_protocol(&Protocol::PARTIAL_CMP, "1.5.partial_cmp(2.5)"),
    free_protocol(&Protocol::CMP, "1.5.cmp(2.5)"),
];

/// `::std::i64`
pub(super) static I64S: Table = Table {
    path: &["i64"],
    types: &[Type::new::<i64>("i64", &[&[Trait::Clone], ORDER], I64).known()],
    functions: &[of("parse", Cost::Scan, READS, r#"(std::i64::parse("12"), std::i64::parse("x").is_err())"#)],
    also: |module| limits(module, i64::MIN, i64::MAX),
};

/// `::std::u64`
pub(super) static U64S: Table = Table {
    path: &["u64"],
    types: &[Type::new::<u64>("u64", &[&[Trait::Clone], ORDER], U64).known()],
    functions: &[of("parse", Cost::Scan, READS, r#"(std::u64::parse("12"), std::u64::parse("x").is_err())"#)],
    also: |module| limits(module, u64::MIN, u64::MAX),
};

/// `::std::f64`
pub(super) static F64S: Table = Table {
    path: &["f64"],
    types: &[Type::new::<f64>("f64", &[&[Trait::Clone], ORDER], F64).known()],
    functions: &[of(
        "parse",
        Cost::Scan,
        READS,
        r#"(std::f64::parse("1.5"), std::f64::parse("x").is_err())"#,
    )],
    also: floats,
};

fn limits<T>(module: &mut Module, min: T, max: T) -> Result<(), ContextError>
where
    T: TypeHash + rune::runtime::TypeOf + rune::ToConstValue,
{
    module.constant("MIN", min).build()?;
    module.constant("MAX", max).build()?;
    Ok(())
}

fn floats(module: &mut Module) -> Result<(), ContextError> {
    limits(module, f64::MIN, f64::MAX)?;
    module.constant("EPSILON", f64::EPSILON).build()?;
    module.constant("MIN_POSITIVE", f64::MIN_POSITIVE).build()?;
    module.constant("MIN_EXP", f64::MIN_EXP).build()?;
    module.constant("MAX_EXP", f64::MAX_EXP).build()?;
    module.constant("MIN_10_EXP", f64::MIN_10_EXP).build()?;
    module.constant("MAX_10_EXP", f64::MAX_10_EXP).build()?;
    module.constant("NAN", f64::NAN).build()?;
    module.constant("INFINITY", f64::INFINITY).build()?;
    module.constant("NEG_INFINITY", f64::NEG_INFINITY).build()?;
    Ok(())
}
