//! OpenMetrics is strict: what its text may not look like, and what its kinds may not hold.

use crate::common::Server;
use crate::common::exchange::Format;
use crate::{Case, check};

#[track_caller]
fn check_openmetrics(cases: &[(&str, &str)]) {
    // A good family before the fault must not stay either.
    let body = |text: &str| format!("# TYPE fresh gauge\nfresh 1\n{text}").into_bytes();
    let cases: Vec<Case> = cases.iter().map(|(text, line)| (*text, body(text), 400, *line)).collect();
    check(&[("Content-Type", Format::OpenMetrics.content_type())], &cases);
}

/// Bodies behind `# TYPE fresh gauge` and `fresh 1`, which are lines 1 and 2.
#[test]
fn openmetrics_that_ends_wrongly_is_refused() {
    check_openmetrics(&[
        ("", "line 3: expected \"# EOF\" as the last line, got end of body"),
        ("a 1\n", "line 4: expected \"# EOF\" as the last line, got end of body"),
        ("a 1", "line 4: expected \"# EOF\" as the last line, got end of body"),
        ("# EOF\na 1\n", "line 4: expected nothing behind \"# EOF\", got \"a 1\""),
        ("# EOF\na 1\n# EOF\n", "line 4: expected nothing behind \"# EOF\", got \"a 1\""),
        ("# EOF\n# EOF\n", "line 4: expected nothing behind \"# EOF\", got \"# EOF\""),
        ("# EOF\n\n", "line 4: expected nothing behind \"# EOF\", got end of line"),
        ("# EOF \n", "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"# EOF \""),
        ("# EOFF\n", "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"# EOFF\""),
        ("#EOF\n", "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"#EOF\""),
    ]);
}

#[test]
fn openmetrics_out_of_order_is_refused() {
    check_openmetrics(&[
        (
            "# TYPE a gauge\na{l=\"1\"} 1\n# TYPE b gauge\nb 1\na{l=\"2\"} 1\n# EOF\n",
            "line 7: expected all lines of a family together, got a again",
        ),
        ("a{l=\"1\"} 1\nb 1\na{l=\"2\"} 1\n# EOF\n", "line 5: expected all lines of a family together, got a again"),
        ("a 1\nb 1\n# TYPE a gauge\n# EOF\n", "line 5: expected all lines of a family together, got a again"),
        (
            "fresh{l=\"1\"} 1\nb 1\nfresh{l=\"2\"} 1\n# EOF\n",
            "line 5: expected all lines of a family together, got fresh again",
        ),
        ("a 1\n# TYPE a gauge\n# EOF\n", "line 4: expected metadata before the samples of the family, got a again"),
        ("a 1\n# HELP a A.\n# EOF\n", "line 4: expected metadata before the samples of the family, got a again"),
        (
            "a_seconds 1\n# UNIT a_seconds seconds\n# EOF\n",
            "line 4: expected metadata before the samples of the family, got a_seconds again",
        ),
        (
            "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n",
            "line 4: expected each of HELP, TYPE and UNIT once for a family, got \"# TYPE a gauge\"",
        ),
        (
            "# HELP a A.\n# HELP a A.\na 1\n# EOF\n",
            "line 4: expected each of HELP, TYPE and UNIT once for a family, got \"# HELP a A.\"",
        ),
        (
            "# UNIT a_s s\n# UNIT a_s s\na_s 1\n# EOF\n",
            "line 4: expected each of HELP, TYPE and UNIT once for a family, got \"# UNIT a_s s\"",
        ),
        (
            "# TYPE a counter\n# TYPE b gauge\nb 1\na_total 1\n# EOF\n",
            "line 6: expected all lines of a family together, got a_total again",
        ),
        (
            "# TYPE a gauge\n# HELP b B.\n# UNIT a_s s\n# TYPE a gauge\na 1\n# EOF\n",
            "line 6: expected all lines of a family together, got a again",
        ),
        (
            "# TYPE a counter\na_created 1\na_total 1\n# EOF\n",
            "line 4: expected _created behind its _total, got _created of {} alone",
        ),
        (
            "# TYPE a counter\na_total{l=\"1\"} 1\na_created{l=\"2\"} 1\n# EOF\n",
            "line 5: expected _created behind its _total, got _created of {l=\"2\"} alone",
        ),
    ]);
}

#[test]
fn openmetrics_of_other_blanks_and_comments_is_refused() {
    check_openmetrics(&[
        ("\n# EOF\n", "line 3: expected a line that is not empty, got end of line"),
        (
            "# a comment\n# EOF\n",
            "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"# a comment\"",
        ),
        ("#\n# EOF\n", "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"#\""),
        ("a  1\n# EOF\n", "line 3: expected a number, got \" 1\""),
        ("a\t1\n# EOF\n", "line 3: expected a space before the value, got \"\\t1\""),
        ("a 1 \n# EOF\n", "line 3: expected a timestamp in seconds, got end of line"),
        (" a 1\n# EOF\n", "line 3: expected a metric name, got \" a 1\""),
        ("a{ l=\"1\"} 1\n# EOF\n", "line 3: expected a label name, got \" l=\\\"1\\\"} 1\""),
        ("a{l =\"1\"} 1\n# EOF\n", "line 3: expected '=' after a label name, got \" =\\\"1\\\"} 1\""),
        ("a{l=\"1\", m=\"1\"} 1\n# EOF\n", "line 3: expected a label name, got \" m=\\\"1\\\"} 1\""),
        ("a{l=\"1\",} 1\n# EOF\n", "line 3: expected a label name, got \"} 1\""),
        ("a {l=\"1\"} 1\n# EOF\n", "line 3: expected a number, got \"{l=\\\"1\\\"} 1\""),
        ("a 1\r\n# EOF\n", "line 3: expected the end of the line, got \"\\r\""),
        (
            "#  TYPE a gauge\na 1\n# EOF\n",
            "line 3: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\", got \"#  TYPE a gauge\"",
        ),
        ("# TYPE  a gauge\na 1\n# EOF\n", "line 3: expected a metric name, got \" a gauge\""),
        (
            "# TYPE a gauge \na 1\n# EOF\n",
            "line 3: expected a type (counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown), got \"gauge \"",
        ),
    ]);
}

#[test]
fn openmetrics_of_no_sense_is_refused() {
    check_openmetrics(&[
        ("a\n# EOF\n", "line 3: expected a space before the value, got end of line"),
        ("a one\n# EOF\n", "line 3: expected a number, got \"one\""),
        ("a 1 now\n# EOF\n", "line 3: expected a timestamp in seconds, got \"now\""),
        ("a 1 1 1\n# EOF\n", "line 3: expected an exemplar, as in \"# {trace_id=\\\"1\\\"} 0.5\", got \"1\""),
        ("a{l=1} 1\n# EOF\n", "line 3: expected '\"' before a label value, got \"1} 1\""),
        ("a{l=\"1} 1\n# EOF\n", "line 3: expected '\"' at the end of a quoted string, got end of line"),
        ("a{l=\"\\q\"} 1\n# EOF\n", "line 3: expected one of the escapes \\\\, \\\" and \\n, got \"\\\\q\\\"} 1\""),
        ("a{l=\"1\",l=\"2\"} 1\n# EOF\n", "line 3: expected each label once, got l twice"),
        (
            "a{__l=\"1\"} 1\n# EOF\n",
            "line 3: expected a label name that does not begin with \"__\", got \"__l=\\\"1\\\"} 1\"",
        ),
        ("a{\"\"=\"1\"} 1\n# EOF\n", "line 3: expected a label name that is not empty, got \"\\\"\\\"=\\\"1\\\"} 1\""),
        ("{\"\"} 1\n# EOF\n", "line 3: expected a metric name that is not empty, got \"\\\"\\\"} 1\""),
        ("9a 1\n# EOF\n", "line 3: expected a metric name, got \"9a 1\""),
        (
            "# TYPE a conter\na 1\n# EOF\n",
            "line 3: expected a type (counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown), got \"conter\"",
        ),
        ("# TYPE a\na 1\n# EOF\n", "line 3: expected a space after the metric name, got end of line"),
        ("# HELP a \\q\na 1\n# EOF\n", "line 3: expected one of the escapes \\\\ and \\n, got \"\\\\q\""),
        ("# UNIT a seconds\na 1\n# EOF\n", "line 3: expected a name that ends in its unit, _seconds, got a"),
        (
            "# UNIT a_seconds bytes\na_seconds 1\n# EOF\n",
            "line 3: expected a name that ends in its unit, _bytes, got a_seconds",
        ),
        (
            "# UNIT aseconds seconds\naseconds 1\n# EOF\n",
            "line 3: expected a name that ends in its unit, _seconds, got aseconds",
        ),
    ]);
}

#[test]
fn openmetrics_samples_that_their_kind_cannot_have_are_refused() {
    check_openmetrics(&[
        ("# TYPE a counter\na_total -1\n# EOF\n", "line 4: expected a counter increment of at least 0, got -1"),
        ("# TYPE a counter\na_total NaN\n# EOF\n", "line 4: expected a counter increment of at least 0, got NaN"),
        ("# TYPE a counter\na 1\n# EOF\n", "line 4: expected a sample of counter a (a_total, a_created), got a"),
        ("# TYPE a info\na_info 2\n# EOF\n", "line 4: expected the value 1 of an info, got 2"),
        ("# TYPE a info\na_info 0\n# EOF\n", "line 4: expected the value 1 of an info, got 0"),
        ("# TYPE a info\na 1\n# EOF\n", "line 4: expected a sample of info a (a_info), got a"),
        ("# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n", "line 4: expected the value 0 or 1 of a state, got 2"),
        ("# TYPE a stateset\na{a=\"x\"} NaN\n# EOF\n", "line 4: expected the value 0 or 1 of a state, got NaN"),
        ("# TYPE a stateset\na{b=\"x\"} 1\n# EOF\n", "line 4: expected a label a that tells the state, got {b=\"x\"}"),
        ("# TYPE a stateset\na 1\n# EOF\n", "line 4: expected a label a that tells the state, got {}"),
        ("# TYPE a histogram\na_bucket 1\n# EOF\n", "line 4: expected the label le, got none"),
        ("# TYPE a histogram\na_bucket{le=\"x\"} 1\n# EOF\n", "line 4: expected a number as le, got \"x\""),
        ("# TYPE a histogram\na_bucket{le=\"1\"} -1\n# EOF\n", "line 4: expected a count of at least 0, got -1"),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\n# EOF\n",
            "line 4: expected each series once in a push, got a_bucket{le=\"1\"} again",
        ),
        ("# TYPE a histogram\na_count NaN\n# EOF\n", "line 4: expected a count of at least 0, got NaN"),
        (
            "# TYPE a histogram\na 1\n# EOF\n",
            "line 4: expected a sample of histogram a (a_bucket, a_sum, a_count, a_created), got a",
        ),
        ("# TYPE a summary\na 1\n# EOF\n", "line 4: expected the label quantile, got none"),
        ("# TYPE a summary\na_sum 1\na_sum 2\n# EOF\n", "line 5: expected each series once in a push, got a_sum again"),
        ("# TYPE a gauge\na 1\na 2\n# EOF\n", "line 5: expected each series once in a push, got a again"),
        (
            "# TYPE a gauge\na{l=\"1\",m=\"1\"} 1\na{m=\"1\",l=\"1\"} 2\n# EOF\n",
            "line 5: expected each series once in a push, got a{l=\"1\",m=\"1\"} again",
        ),
        ("# TYPE base_total gauge\nbase_total 1\n# EOF\n", "line 3: expected TYPE counter for base_total, got gauge"),
        (
            "# TYPE base gauge\nbase 1\nbase_total 1\nbase_total 1\n# EOF\n",
            "line 6: expected each series once in a push, got base_total again",
        ),
        (
            "# TYPE lat_count gauge\nlat_count 1\n# EOF\n",
            "line 3: expected gauge lat_count to have sample names of its own, got lat_count, which belongs to lat",
        ),
        ("# TYPE level stateset\nlevel{level=\"x\"} 2\n# EOF\n", "line 4: expected the value 0 or 1 of a state, got 2"),
    ]);
}

#[test]
fn openmetrics_exemplars_out_of_place_or_out_of_bounds_are_refused() {
    let long = format!("# TYPE a counter\na_total 1 # {{l=\"{}\"}} 1\n# EOF\n", "é".repeat(128));
    check_openmetrics(&[
        (
            "# TYPE a gauge\na 1 # {l=\"1\"} 1\n# EOF\n",
            "line 4: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "a 1 # {l=\"1\"} 1\n# EOF\n",
            "line 3: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a summary\na_sum 1 # {l=\"1\"} 1\n# EOF\n",
            "line 4: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a histogram\na_sum 1 # {l=\"1\"} 1\n# EOF\n",
            "line 4: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a histogram\na_count 1 # {l=\"1\"} 1\n# EOF\n",
            "line 4: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a counter\na_total 1\na_created 1 # {l=\"1\"} 1\n# EOF\n",
            "line 5: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a info\na_info 1 # {l=\"1\"} 1\n# EOF\n",
            "line 4: expected no exemplar but on a counter's total or a bucket, got \"# {l=\\\"1\\\"} 1\"",
        ),
        (
            "# TYPE a counter\na_total 1 # {l=\"1\"}\n# EOF\n",
            "line 4: expected a space before the exemplar's value, got end of line",
        ),
        (
            "# TYPE a counter\na_total 1 # 1\n# EOF\n",
            "line 4: expected an exemplar, as in \"# {trace_id=\\\"1\\\"} 0.5\", got \"# 1\"",
        ),
        (
            "# TYPE a counter\na_total 1 #{l=\"1\"} 1\n# EOF\n",
            "line 4: expected an exemplar, as in \"# {trace_id=\\\"1\\\"} 0.5\", got \"#{l=\\\"1\\\"} 1\"",
        ),
        ("# TYPE a counter\na_total 1 # {l=\"1\"} x\n# EOF\n", "line 4: expected the exemplar's value, got \"x\""),
        ("# TYPE a counter\na_total 1 # {l=\"1\"} 1 x\n# EOF\n", "line 4: expected a timestamp in seconds, got \"x\""),
        ("# TYPE a counter\na_total 1 # {l=\"1\"} 1 1 1\n# EOF\n", "line 4: expected the end of the line, got \" 1\""),
        ("# TYPE a counter\na_total 1 # {l=\"1\",l=\"2\"} 1\n# EOF\n", "line 4: expected each label once, got l twice"),
        (&long, "line 4: expected exemplar labels of at most 128 characters, got 129"),
    ]);
    // One character less is as long as it may be.
    let server = Server::start(&[]);
    server.take_as(Format::OpenMetrics, long.replacen('é', "", 1).as_bytes());
}
