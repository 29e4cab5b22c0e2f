//! What is refused, and in which words.

use squid_mesh_core::cron::{Expression, Field, Zone, tz_version};
use squid_mesh_core::limits;

#[test]
fn a_wrong_field_is_named_with_its_position() {
    use Field::{DayOfMonth, DayOfWeek, Hour, Minute, Month, Second};
    for (text, field, position) in [
        ("60 * * * *", Minute, 0),
        ("-1 * * * *", Minute, 0),
        ("*/0 * * * *", Minute, 2),
        ("*/60 * * * *", Minute, 2),
        ("0,,5 * * * *", Minute, 2),
        (", * * * *", Minute, 0),
        ("5- * * * *", Minute, 2),
        ("*- * * * *", Minute, 0),
        ("1-2-3 * * * *", Minute, 2),
        ("*5 * * * *", Minute, 0),
        ("1/2/3 * * * *", Minute, 2),
        ("5/ * * * *", Minute, 2),
        ("1.5 * * * *", Minute, 0),
        ("4294967297 * * * *", Minute, 0),
        ("٣ * * * *", Minute, 0),
        ("  61 * * * *", Minute, 2),
        ("60 * * * * *", Second, 0),
        ("0 60 * * * *", Minute, 2),
        ("0 24 * * *", Hour, 2),
        ("0 22-2 * * *", Hour, 2),
        ("0 1,22-25 * * *", Hour, 7),
        ("0 */24 * * *", Hour, 4),
        ("0 H * * *", Hour, 2),
        ("0 0 0 * *", DayOfMonth, 4),
        ("0 0 32 * *", DayOfMonth, 4),
        ("0 0 MON * *", DayOfMonth, 4),
        ("0 0 ? * *", DayOfMonth, 4),
        ("0 0 L * *", DayOfMonth, 4),
        ("0 0 LW * *", DayOfMonth, 4),
        ("0 0 1,15W * *", DayOfMonth, 6),
        ("0 0 1 0 *", Month, 6),
        ("0 0 1 13 *", Month, 6),
        ("0 0 1 JANUARY *", Month, 6),
        ("0 0 1 DEC-FEB *", Month, 6),
        ("0 0 1 JÄN *", Month, 6),
        ("0 0 * * 8", DayOfWeek, 8),
        ("0 0 * * MÖN", DayOfWeek, 8),
        ("0 0 * * ?", DayOfWeek, 8),
        ("0 0 * * 5L", DayOfWeek, 8),
        ("0 0 * * 5#2", DayOfWeek, 8),
        ("0 0 * * FRI-TUE", DayOfWeek, 8),
        ("0 0 * * */7", DayOfWeek, 10),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(
            (error.field(), error.position()),
            (Some(field), position),
            "{text}: {error}"
        );
        assert_eq!(error.text(), text);
    }
}

#[test]
fn a_text_that_is_wrong_as_a_whole_has_no_field() {
    for (text, position) in [
        ("", 0),
        (" \t", 0),
        ("* * * *", 7),
        ("daily", 5),
        ("* * * * * * 2027", 12),
        ("ä * * * * * 2027", 12),
        ("@reboot", 0),
        (" @every 5m", 1),
        ("@daily 5", 0),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(
            (error.field(), error.position()),
            (None, position),
            "{text}"
        );
    }
}

#[test]
fn errors_say_what_was_found_and_what_is_allowed() {
    for (text, message) in [
        (
            "0 24 * * *",
            r#"cron expression "0 24 * * *", hour at position 2: found "24", allowed are 0 to 23, *, ranges, steps and lists"#,
        ),
        (
            "0 0 1 foo *",
            r#"cron expression "0 0 1 foo *", month at position 6: found "foo", allowed are 1 to 12, JAN to DEC, *, ranges, steps and lists"#,
        ),
        (
            "0 0 * * 5#2",
            r#"cron expression "0 0 * * 5#2", day of week at position 8: found "5#2", but # (the nth weekday of a month) is not supported, allowed are 0 to 7, SUN to SAT, *, ranges, steps and lists"#,
        ),
        (
            "0 22-2 * * *",
            r#"cron expression "0 22-2 * * *", hour at position 2: the range "22-2" runs backwards, allowed are two ranges with a comma between them"#,
        ),
        (
            "*/90 * * * *",
            r#"cron expression "*/90 * * * *", minute at position 2: found the step "90", allowed are 1 to 59"#,
        ),
        (
            "* * * *",
            r#"cron expression "* * * *", at position 7: 4 fields found, expected five (minute, hour, day of month, month, day of week) or six with the second first"#,
        ),
        (
            "@reboot",
            r#"cron expression "@reboot", at position 0: found "@reboot", allowed are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually"#,
        ),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_expression_is_as_long_as_the_limit_and_no_longer() {
    let text = |length| format!("{:<length$}", "0 0 * * *");
    assert!(Expression::parse(&text(limits::EXPRESSION_BYTES)).is_ok());
    let error = Expression::parse(&text(limits::EXPRESSION_BYTES + 1)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("257 bytes found, allowed are 256")
    );
    assert_eq!(error.text().len(), limits::EXPRESSION_BYTES);
    let long = Expression::parse(&"ä".repeat(200)).unwrap_err();
    assert_eq!(long.text().chars().count(), 128);
}

#[test]
fn an_unknown_zone_is_named_with_the_one_that_may_be_meant() {
    for (name, near) in [
        ("europe/BERLIN", Some("Europe/Berlin")),
        ("Berlin", Some("Europe/Berlin")),
        ("America/Berlin", Some("Europe/Berlin")),
        ("new york", Some("America/New_York")),
        ("Europe/Berln", Some("Europe/Berlin")),
        ("Asia/Kolkatta", Some("Asia/Kolkata")),
        ("utc", Some("UTC")),
        ("Atlantis/Poseidonis", None),
        ("", None),
    ] {
        let error = Zone::parse(name).expect_err(name);
        assert_eq!((error.name(), error.suggestion()), (name, near));
    }
    assert_eq!(
        Zone::parse("Mars/Olympus").unwrap_err().to_string(),
        format!(
            r#"unknown time zone "Mars/Olympus", expected a name of the IANA database {} like Europe/Berlin"#,
            tz_version()
        )
    );
    assert_eq!(
        Zone::parse(&"x".repeat(1 << 20)).unwrap_err().name().len(),
        64
    );
}
