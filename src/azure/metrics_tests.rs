use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).expect("in range")
}

fn document(series: usize, width: usize) -> MetricDocument {
    let series = (0..series).map(|number| Series::of(vec![format!("{number:0width$}")], 1.0)).collect();
    MetricDocument::new(at(600), "AzureHealthPartner", "ActiveEvents", &["Customer"], series)
}

#[test]
fn a_document_is_written_as_azure_reads_it() {
    let mut series = Series::of(vec!["contoso".into(), "ServiceIssue".into()], 1.0);
    series.add(&Series::of(Vec::new(), 3.0));
    let one = MetricDocument::new(at(659), "AzureHealthPartner", "ActiveHealthEvents", &["A", "B"], vec![series]);
    assert_eq!(
        line(&one),
        r#"{"data":{"baseData":{"dimNames":["A","B"],"metric":"ActiveHealthEvents","namespace":"AzureHealthPartner","series":[{"count":2,"dimValues":["contoso","ServiceIssue"],"max":3.0,"min":1.0,"sum":4.0}]}},"time":"1970-01-01T00:10:00Z"}"#
    );
    let read: MetricDocument = serde_json::from_str(&line(&one)).expect("its own text");
    assert_eq!(read, one);
}

#[test]
fn each_rule_of_azure_is_kept_before_anything_is_sent() {
    let now = at(700);
    assert_eq!(document(3, 1).fault(now), None);
    let with = |change: &dyn Fn(&mut MetricDocument)| {
        let mut one = document(1, 1);
        change(&mut one);
        one.fault(now)
    };
    assert_eq!(document(1, 1).fault(at(600 + 1200)), None);
    assert!(document(1, 1).fault(at(600 + 1201)).is_some_and(|why| why.contains("20 minutes")));
    assert!(document(1, 1).fault(at(599)).is_some_and(|why| why.contains("to come")));
    assert!(with(&|one| one.time = at(601)).is_some_and(|why| why.contains("whole minute")));
    let dimensions = |count: usize| (0..count).map(|number| format!("d{number}")).collect::<Vec<_>>();
    for (count, fits) in [(10, true), (11, false)] {
        let fault = with(&|one| {
            one.data.base_data.dim_names = dimensions(count);
            one.data.base_data.series[0].dim_values = dimensions(count);
        });
        assert_eq!(fault.is_none(), fits, "{fault:?}");
    }
    assert!(with(&|one| one.data.base_data.metric = "x".repeat(257)).is_some());
    assert!(with(&|one| one.data.base_data.namespace = String::new()).is_some());
    assert!(with(&|one| one.data.base_data.series.clear()).is_some());
    assert!(with(&|one| one.data.base_data.series[0].dim_values.clear()).is_some());
    assert!(with(&|one| one.data.base_data.series[0].dim_values = vec![" ".into()]).is_some());
    assert!(with(&|one| one.data.base_data.series[0].sum = f64::NAN).is_some());
    assert!(with(&|one| one.data.base_data.series[0].count = 0).is_some());
}

#[test]
fn the_region_is_what_the_portal_or_the_address_says() {
    for text in ["westeurope", "West Europe", "WESTEUROPE"] {
        assert_eq!(text.parse::<Region>().expect("a region").to_string(), "westeurope");
    }
    for text in ["", "west/europe", "evil.example#", "a"] {
        assert!(text.parse::<Region>().is_err(), "{text}");
    }
}

#[test]
fn failures_are_read_in_each_of_their_shapes() {
    let read = |status: u16, text: &str| {
        let told = Told { status, headers: reqwest::header::HeaderMap::new(), bytes: text.as_bytes().to_vec() };
        accepted(told)
    };
    assert!(read(200, r#"{"statusCode":200}"#).is_ok() && read(202, "").is_ok() && read(200, "fine").is_ok());
    for text in [
        r#"{"statusCode":400,"apiFailureResponse":{"error":{"code":"BadRequest","message":"too old"}}}"#,
        r#"{"error":{"code":"BadRequest","message":"too old"}}"#,
    ] {
        let Err(Error::Refused(refusal)) = read(400, text) else { panic!("{text}") };
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("BadRequest", "too old"));
    }
    let Err(Error::Refused(refusal)) = read(400, "The time is out of range") else { panic!("refused") };
    assert_eq!(refusal.message, "The time is out of range");
    assert!(matches!(read(503, ""), Err(Error::Unavailable { .. })));
}

#[test]
fn what_is_too_large_is_made_smaller_and_only_one_series_is_dropped() {
    let mut dropped = Vec::new();
    assert_eq!(smaller(vec![document(3, 1); 3], &mut dropped).iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    let halves = smaller(vec![document(3, 1)], &mut dropped);
    assert_eq!(halves.iter().map(|half| half[0].data.base_data.series.len()).collect::<Vec<_>>(), [1, 2]);
    assert!(dropped.is_empty() && smaller(vec![document(1, 1)], &mut dropped).is_empty());
    assert_eq!(dropped.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn batches_are_small_enough_and_lose_and_double_nothing(sizes in proptest::collection::vec((1_usize..9_000, 1_usize..400), 1..6)) {
        let documents: Vec<_> = sizes.iter().map(|(series, width)| document(*series, *width)).collect();
        let all = |documents: &[MetricDocument]| {
            let mut values: Vec<_> = documents.iter().flat_map(|one| one.data.base_data.series.clone())
                .map(|series| series.dim_values).collect();
            values.sort();
            values
        };
        let made = batches(documents.clone());
        for batch in &made {
            let size: usize = batch.iter().map(|one| line(one).len() + 1).sum();
            prop_assert!(!batch.is_empty() && size <= MOST_BYTES);
        }
        prop_assert_eq!(all(&made.concat()), all(&documents));
    }
}
