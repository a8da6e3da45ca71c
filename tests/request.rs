//! The request as JSON, compared with its declaration in the npm package.

use std::collections::BTreeSet;
use std::path::Path;

use pyrograph::{Algorithm, PredictionType, Request};

/// Fields that exist only in the page: previews and callbacks.
const OF_THE_PAGE: [&str; 3] = ["previewEvery", "onStep", "signal"];

/// The names of the fields that an interface of `index.d.ts` declares.
fn declared(interface: &str) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/web/js/index.d.ts");
    let text = std::fs::read_to_string(file).expect("the declarations of the npm package");
    let body = text.split(&format!("interface {interface} {{")).nth(1).expect("the interface");
    let body = body.split("\n}").next().expect("its end");
    let field = |line: &str| Some(line.trim().split_once(':')?.0.trim_end_matches('?').to_owned());
    let is_code = |line: &&str| !line.trim_start().starts_with(['/', '*']);
    body.lines().filter(is_code).filter_map(field).collect()
}

#[test]
fn the_npm_package_declares_the_fields_of_a_request() {
    let request = Request::text("a").with_size(8, 8).with_scheduler(Algorithm::Euler).with_karras(true);
    let request = request.with_prediction_type(PredictionType::Epsilon);
    let json = serde_json::to_value(request).expect("text and numbers");
    let known: BTreeSet<String> = json.as_object().expect("an object").keys().cloned().collect();
    let mut declared = declared("GenerateRequest");
    for field in OF_THE_PAGE {
        assert!(declared.remove(field), "{field} is not declared");
    }
    assert_eq!(declared, known);
}
