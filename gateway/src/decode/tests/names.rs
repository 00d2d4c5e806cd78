//! Which of several members fills a field.

use super::*;

fn checks(cases: &[(&str, &str)]) {
    for (body, expect) in cases {
        check(body, expect);
    }
}

#[test]
fn a_host_is_known_by_the_best_of_its_names() {
    checks(&[
        (r#"{"hostname":"h","message":"m"}"#, "INFO msg=m dev=h"),
        (
            r#"{"hostname":"a","host":"b","message":"m"}"#,
            r#"INFO msg=m dev=b {"hostname":"a"}"#,
        ),
        (r#"{"host":{"hostname":"h"},"message":"m"}"#, "INFO msg=m dev=h"),
        (
            r#"{"host":{"hostname":"a","name":"b"},"message":"m"}"#,
            r#"INFO msg=m dev=b {"host":{"hostname":"a","name":"b"}}"#,
        ),
        (
            r#"{"hostname":"a","host":{"name":"b"},"message":"m"}"#,
            r#"INFO msg=m dev=b {"hostname":"a"}"#,
        ),
        (
            r#"{"kubernetes":{"host":"n"},"hostname":"a","message":"m"}"#,
            r#"INFO msg=m dev=a {"kubernetes":{"host":"n"}}"#,
        ),
        (
            r#"{"host":7,"kubernetes":{"node":{"name":"n"}},"message":"m"}"#,
            r#"INFO msg=m dev=n {"host":7,"kubernetes":{"node":{"name":"n"}}}"#,
        ),
        (r#"{"host":["a"],"message":"m"}"#, "~neither application nor device_id"),
        (r#"{"host":"","message":"m"}"#, "~neither application nor device_id"),
        (r#"{"host":null,"hostname":"h","message":"m"}"#, "INFO msg=m dev=h"),
        (
            r#"{"device_id":"d","host":"a","host":{"name":"b"},"message":"m"}"#,
            r#"INFO msg=m dev=d {"host":{"name":"b"}}"#,
        ),
    ]);
}

#[test]
fn an_application_is_a_service_or_else_a_container() {
    checks(&[
        (
            r#"{"container":{"name":"c"},"service":{"name":"s"},"message":"m"}"#,
            r#"INFO msg=m app=s {"container":{"name":"c"}}"#,
        ),
        (r#"{"container":{"name":"c"},"message":"m"}"#, "INFO msg=m app=c"),
        (
            r#"{"container":{"name":"c"},"kubernetes":{"container":{"name":"k"}},"message":"m"}"#,
            r#"INFO msg=m app=k {"kubernetes":{"container":{"name":"k"}},"container":{"name":"c"}}"#,
        ),
        // Our own name is not taken from a container that happens to have it.
        (
            r#"{"kubernetes":{"container_name":"andon","host":"n"},"message":"m"}"#,
            r#"INFO msg=m dev=n {"kubernetes":{"container_name":"andon","host":"n"}}"#,
        ),
        (r#"{"service.name":"andon","message":"m"}"#, "~is reserved"),
        (r#"{"service":"s","message":"m"}"#, "~neither application nor device_id"),
    ]);
}

#[test]
fn a_source_is_a_file_or_else_a_pod() {
    let long = format!("/{}", "x".repeat(128));
    checks(&[
        (
            r#"{"device_id":"d","log":{"file":{"path":"/a"}},"message":"m"}"#,
            r#"INFO msg=m dev=d src=/a {"log":{"file":{"path":"/a"}}}"#,
        ),
        (
            r#"{"device_id":"d","source":"s","log.file.path":"/a","message":"m"}"#,
            r#"INFO msg=m dev=d src=s {"log.file.path":"/a"}"#,
        ),
        (
            r#"{"device_id":"d","source":{"ip":"10.0.0.1"},"log.file.path":"/a","message":"m"}"#,
            r#"INFO msg=m dev=d src=/a {"source":{"ip":"10.0.0.1"}}"#,
        ),
        (
            r#"{"device_id":"d","source":7,"message":"m"}"#,
            "source: must be a string, not a number",
        ),
        (
            r#"{"device_id":"d","log":{"file":"x"},"kubernetes":{"pod":"p"},"message":"m"}"#,
            r#"INFO msg=m dev=d {"log":{"file":"x"},"kubernetes":{"pod":"p"}}"#,
        ),
    ]);
    check(
        &format!(r#"{{"device_id":"d","log.file.path":"{long}","message":"m"}}"#),
        &format!(r#"INFO msg=m dev=d {{"log.file.path":"{long}"}}"#),
    );
    check(
        &format!(r#"{{"device_id":"d","source":"{long}","message":"m"}}"#),
        "source: has 129 bytes, more than the 128 allowed",
    );
}

#[test]
fn what_cannot_be_read_gives_way_to_what_can_and_is_at_fault_alone() {
    checks(&[
        (
            r#"{"device_id":"d","message":"m","timestamp":"Nov 23 02:30:55","@timestamp":"2026-11-23T02:30:57Z"}"#,
            r#"INFO msg=m dev=d at=-2 {"timestamp":"Nov 23 02:30:55"}"#,
        ),
        (
            r#"{"@timestamp":"2026-11-23T02:30:57Z","timestamp":"Nov 23 02:30:55","device_id":"d","message":"m"}"#,
            r#"INFO msg=m dev=d at=-2 {"timestamp":"Nov 23 02:30:55"}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","time":"02:30","ts":"x","date":1795401057}"#,
            r#"INFO msg=m dev=d at=-2 {"ts":"x","time":"02:30"}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","ts":"x","time":"02:30"}"#,
            "~time: \"02:30\" is not a time",
        ),
        (
            r#"{"device_id":"d","message":"m","level":"core:error","log":{"level":"error"}}"#,
            r#"ERROR msg=m dev=d {"level":"core:error"}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","log":{"level":"odd","syslog":{"severity":{"code":4}}}}"#,
            r#"WARN msg=m dev=d {"log":{"level":"odd","syslog":{"severity":{"code":4}}}}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","log":{"level":"odd"}}"#,
            r#"WARN msg=m dev=d {"log":{"level":"odd"}} !level_unknown"#,
        ),
        (
            r#"{"device_id":"d","message":"m","severity":"odd","log":{"level":"odd too"}}"#,
            r#"WARN msg=m dev=d {"log":{"level":"odd too"},"severity":"odd"} !level_unknown"#,
        ),
        (
            r#"{"device_id":"d","message":"m","log":{"syslog":{"severity":{"code":99}}}}"#,
            r#"INFO msg=m dev=d {"log":{"syslog":{"severity":{"code":99}}}}"#,
        ),
    ]);
}

#[test]
fn a_date_is_a_time_only_when_it_can_be_nothing_else() {
    checks(&[
        (
            r#"{"device_id":"d","message":"m","date":1795401058.5}"#,
            "INFO msg=m dev=d at=-0.5",
        ),
        (
            r#"{"device_id":"d","message":"m","date":20261123}"#,
            r#"INFO msg=m dev=d {"date":20261123}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","date":"2026-11-23"}"#,
            r#"INFO msg=m dev=d {"date":"2026-11-23"}"#,
        ),
        // Fluent Bit's java_sql_timestamp: UTC, but it does not say so.
        (
            r#"{"device_id":"d","message":"m","date":"2026-11-23 02:30:57.000000"}"#,
            r#"INFO msg=m dev=d {"date":"2026-11-23 02:30:57.000000"}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","date":1795401000,"ts":1795401057}"#,
            r#"INFO msg=m dev=d at=-2 {"date":1795401000}"#,
        ),
    ]);
}

#[test]
fn a_message_is_found_in_the_event_and_without_its_line_end_under_log() {
    checks(&[
        (r#"{"device_id":"d","event":{"original":"raw"}}"#, "INFO msg=raw dev=d"),
        (
            r#"{"device_id":"d","event":{"original":"raw","dataset":"x"},"message":"m"}"#,
            r#"INFO msg=m dev=d {"event":{"original":"raw","dataset":"x"}}"#,
        ),
        (r#"{"device_id":"d","event.original":"raw"}"#, "INFO msg=raw dev=d"),
        (
            r#"{"device_id":"d","event":"boot","message":"m"}"#,
            r#"INFO msg=m dev=d {"event":"boot"}"#,
        ),
        (
            r#"{"device_id":"d","log":"two\nlines\r\n"}"#,
            "INFO msg=two\nlines dev=d",
        ),
        (
            r#"{"device_id":"d","message":"as it is\n"}"#,
            "INFO msg=as it is\n dev=d",
        ),
        (r#"{"device_id":"d","log":"\n"}"#, "~message is missing"),
    ]);
}
