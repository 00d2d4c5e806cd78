//! Files as Excel, PowerShell and German plants write them.

use super::*;

/// What was sent of a file, and what was refused of it: line and reason.
async fn sent(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> (Vec<Value>, Vec<(u64, String)>) {
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), name, content);
    let (result, s) = send(&[&[&path, "--url", &server.url, "--key", "k"], options].concat()).await;
    result.unwrap();
    let records = server.got().iter().flat_map(Got::records).collect();
    (records, s.rejections.into_iter().map(|r| (r.line, r.reason)).collect())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn the_line_that_is_refused_is_the_one_that_an_editor_shows() {
    for (content, line) in [
        ("n,t\na,1\nb,x\nc,3\n", 3),
        ("n,t\r\na,1\r\nb,x\r\nc,3\r\n", 3),
        ("n,t\na,1\n\nb,x\nc,3\n", 4),
    ] {
        let (records, refused) = sent("a.csv", content, &["--csv", "--device", "d", "--reading", "t"]).await;
        assert_eq!(records.len(), 2);
        assert_eq!(
            refused.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [line],
            "{content:?}"
        );
    }
}

#[tokio::test]
async fn csv_as_excel_saves_it_is_read() {
    let columns = [
        "--csv",
        "--device",
        "d",
        "--level-column",
        "Stufe",
        "--message-column",
        "Text",
    ];
    let semicolon = [&columns[..], &["--delimiter", ";"]].concat();
    let tab = [&columns[..], &["--delimiter", "tab"]].concat();
    let marked_utf16 = [b"\xFF\xFE".to_vec(), utf16("Stufe\tText\r\nERROR\tvier\r\n")].concat();
    for (content, options, want) in [
        (
            "\u{feff}Stufe;Text\r\nERROR;eins\r\nINFO;\"zwei\r\nZeilen\"\r\n"
                .as_bytes()
                .to_vec(),
            &semicolon,
            vec!["eins", "zwei\r\nZeilen"],
        ),
        (
            "sep=;\r\nStufe;Text\r\nERROR;drei\r\n".into(),
            &columns.to_vec(),
            vec!["drei"],
        ),
        (marked_utf16, &tab, vec!["vier"]),
        (utf16("Stufe\tText\r\nERROR\tvier\r\n"), &tab, vec!["vier"]),
        (
            b"Stufe;Text\r\nERROR;F\xF6rderband steht\r\n".to_vec(),
            &semicolon,
            vec!["Förderband steht"],
        ),
    ] {
        let (records, refused) = sent("a.csv", &content, options).await;
        assert_eq!(refused, []);
        let texts: Vec<_> = records.iter().map(|r| r["message"].as_str().unwrap()).collect();
        assert_eq!(texts, want);
        assert_eq!(records[0]["level"], "ERROR");
    }
}

#[tokio::test]
async fn ragged_rows_are_read_where_only_empty_cells_are_left_out() {
    let options = [
        "--csv",
        "--delimiter",
        ";",
        "--device",
        "d",
        "--message-column",
        "Text",
        "--field",
        "Rest",
    ];
    let content = "Text;Stufe;Rest\r\nfünf;ERROR;x\r\nsechs;INFO\r\n\r\nsieben;INFO;;;\r\nacht;INFO;y;z\r\nneun;IN";
    let (records, refused) = sent("a.csv", content, &options).await;
    let texts: Vec<_> = records.iter().map(|r| r["message"].as_str().unwrap()).collect();
    assert_eq!(texts, ["fünf", "sechs", "sieben"]);
    assert_eq!(
        refused,
        [
            (
                6,
                "has 4 columns where the header has 3: quote cells that hold the separator".into()
            ),
            (
                7,
                "ends after 2 of 3 columns, and the input with it: complete the file and send it again".into()
            ),
        ]
    );
    let open = "Text;Stufe;Rest\na;b;c\n1;2;\"never closed\n3;4;5\n";
    let (records, refused) = sent("a.csv", open, &options).await;
    assert_eq!(records.len(), 1);
    assert_eq!((refused[0].0, refused[0].1.contains("never closed")), (3, true));
}

#[tokio::test]
async fn decimal_commas_are_read_where_semicolons_separate_or_the_option_says_so() {
    let content = "Zeit;Anlage;Temperatur;Text\r\n15.01.2026 10:30:00;OFEN-1;81,4;ok\r\n15.01.2026 10:31:00;OFEN-1;1.081,4;ok\r\n";
    let options = [
        "--csv",
        "--delimiter",
        ";",
        "--time-column",
        "Zeit",
        "--time-format",
        "%d.%m.%Y %H:%M:%S",
        "--time-zone",
        "Europe/Berlin",
        "--device-column",
        "Anlage",
        "--reading",
        "temperature=Temperatur",
        "--history",
    ];
    for more in [&[][..], &["--decimal-comma"]] {
        let (records, refused) = sent("a.csv", content, &[&options[..], more].concat()).await;
        assert_eq!(refused, []);
        let got: Vec<_> = records.iter().map(|r| r["readings"]["temperature"].as_f64()).collect();
        assert_eq!(got, [Some(81.4), Some(1081.4)]);
    }
    let quoted = "t,v\n1790000000,\"81,4\"\n";
    let comma = [
        "--csv",
        "--device",
        "d",
        "--reading",
        "v",
        "--field",
        "x=v",
        "--time-column",
        "t",
    ];
    let (_, refused) = sent("a.csv", quoted, &comma).await;
    assert!(refused[0].1.contains("--decimal-comma"), "{refused:?}");
    let (records, _) = sent("a.csv", quoted, &[&comma[..], &["--decimal-comma"]].concat()).await;
    assert_eq!(
        (&records[0]["readings"], &records[0]["fields"], &records[0]["timestamp"]),
        (&json!({ "v": 81.4 }), &json!({ "x": 81.4 }), &json!(1790000000))
    );
}

#[tokio::test]
async fn a_header_in_one_piece_says_what_to_do() {
    let server = Server::start(vec![]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "a.csv", "Zeit;Text\n1;a\n");
    let line = ["--key", "k", "--csv", "--device", "d", "--message-column", "Text"];
    let (result, _) = send(&[&[&path, "--url", &server.url], &line[..]].concat()).await;
    let error = result.unwrap_err();
    assert_eq!(exit::of(&error), exit::USAGE);
    assert!(error.to_string().contains("--delimiter"), "{error}");
}

#[tokio::test]
async fn marks_and_utf_16_are_read_in_ndjson() {
    let lines = "{\"message\":\"a\",\"application\":\"x\"}\r\n{\"message\":\"ü\",\"application\":\"x\"}\r\n";
    for content in [
        format!("\u{feff}{lines}\u{feff}{lines}").into_bytes(),
        [b"\xFF\xFE".to_vec(), utf16(lines), b"\xFF\xFE".to_vec(), utf16(lines)].concat(),
        utf16(&format!("{lines}{lines}")),
    ] {
        let (records, refused) = sent("a.ndjson", content, &[]).await;
        assert_eq!(refused, []);
        let texts: Vec<_> = records.iter().map(|r| r["message"].as_str().unwrap()).collect();
        assert_eq!(texts, ["a", "ü", "a", "ü"]);
    }
}

#[tokio::test]
async fn the_device_of_the_command_line_is_for_records_that_name_none() {
    let content = r#"{"device_id":"m-own","message":"own"}
{"host.name":"m-dotted","message":"dotted"}
{"host":"m-text","message":"text"}
{"host":{"name":"m-object"},"message":"object"}
{"hostname":"m-hostname","message":"hostname"}
{"service":{"name":"svc"},"message":"service"}
{"message":"none"}
"#;
    let (records, _) = sent("a.ndjson", content, &["--device", "relay-1", "--application", "relay"]).await;
    let filled = |name: &str| -> Vec<_> {
        records
            .iter()
            .filter(|r| r.get(name).is_some_and(|v| v.as_str().unwrap().starts_with("relay")))
            .map(|r| r["message"].as_str().unwrap())
            .collect()
    };
    assert_eq!(filled("device_id"), ["service", "none"]);
    assert_eq!(
        filled("application"),
        ["own", "dotted", "text", "object", "hostname", "none"]
    );
}

#[tokio::test]
async fn local_stamps_are_read_under_every_name_of_a_time() {
    let content = r#"{"asctime":"2026-07-01 12:00:00,500","levelname":"INFO","message":"a","application":"x"}
{"time":"nonsense","Timestamp":"2026-07-01 12:00:00","message":"b","application":"x"}
{"date":"soon","message":"c","application":"x"}
{"time":"nonsense","message":"d","application":"x"}
"#;
    let (records, refused) = sent("a.ndjson", content, &["--time-zone", "Europe/Berlin"]).await;
    let stamps: Vec<_> = records.iter().map(|r| r["timestamp"].as_str()).collect();
    assert_eq!(
        stamps,
        [Some("2026-07-01T10:00:00.5Z"), Some("2026-07-01T10:00:00Z"), None]
    );
    assert!(records[0].get("asctime").is_none() && records[1]["time"] == "nonsense");
    assert_eq!(refused.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4]);
}
