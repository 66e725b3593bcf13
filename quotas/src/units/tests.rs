use super::*;

#[test]
fn every_unit_reads_what_it_writes() {
    fn check<T: FromStr<Err = ParseUnitError> + fmt::Display>(text: &str, written: &str) {
        let value = text.parse::<T>().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value.to_string(), written);
        assert_eq!(written.parse::<T>().unwrap().to_string(), written);
    }
    check::<Fuel>("2000000", "2_000_000");
    check::<Fuel>("2_000_000", "2_000_000");
    check::<Fuel>("7", "7");
    check::<Fuel>("18446744073709551615", "18_446_744_073_709_551_615");
    check::<Bytes>("8MiB", "8MiB");
    check::<Bytes>("64KiB", "64KiB");
    check::<Bytes>("1024KiB", "1MiB");
    check::<Bytes>("2GiB", "2GiB");
    check::<Bytes>("1000", "1000");
    check::<Bytes>("1_536B", "1536");
    check::<Bytes>("0", "0");
    check::<PerSecond>("500/s", "500/s");
    check::<InFlight>("64", "64");
    check::<Moment>("1500ns", "1500ns");
}

#[test]
fn a_wrong_text_is_answered_with_what_is_wrong_and_an_example() {
    fn check<T: FromStr<Err = ParseUnitError> + fmt::Debug>(text: &str, says: &str) {
        assert_eq!(text.parse::<T>().unwrap_err().to_string(), says);
    }
    check::<Fuel>("", "`` is not an amount of fuel: there is no number; write it like `2_000_000`");
    check::<Fuel>(
        "-1",
        "`-1` is not an amount of fuel: it has to be a whole number without a sign; write it like `2_000_000`",
    );
    check::<Fuel>(
        "18446744073709551616",
        "`18446744073709551616` is not an amount of fuel: it is too large; write it like `2_000_000`",
    );
    check::<Bytes>(
        "8MB",
        "`8MB` is not a number of bytes: the unit has to be KiB, MiB, GiB or nothing; write it like `8MiB`",
    );
    check::<Bytes>("MiB", "`MiB` is not a number of bytes: there is no number; write it like `8MiB`");
    check::<Bytes>(
        "99999999999GiB",
        "`99999999999GiB` is not a number of bytes: it is too large; write it like `8MiB`",
    );
    check::<PerSecond>("500", "`500` is not a rate: it has to end in `/s`; write it like `500/s`");
    check::<PerSecond>("0/s", "`0/s` is not a rate: it must not be zero; write it like `500/s`");
    check::<PerSecond>(
        "1000000001/s",
        "`1000000001/s` is not a rate: it is more than one call a nanosecond; write it like `500/s`",
    );
    check::<InFlight>(
        "0",
        "`0` is not a number of calls at one time: it must not be zero; write it like `64`",
    );
}

#[test]
fn a_moment_never_runs_over_or_below() {
    let early = Moment::from_nanos(5);
    let late = early + Duration::from_nanos(10);
    assert_eq!(late.since(early), Duration::from_nanos(10));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(late + Duration::MAX, Moment::from_nanos(u64::MAX));
}

#[test]
fn the_usual_burst_is_a_tenth_of_the_rate_and_at_least_ten() {
    for (rate, burst) in [(1, 10), (100, 10), (500, 50), (50_000, 5_000)] {
        assert_eq!(PerSecond::new(rate).unwrap().usual_burst().get(), burst);
    }
}
