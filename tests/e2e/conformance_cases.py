"""What the official Pushgateway does with groups, paths, times and clashes, case by case."""

from conformance import case, delete, post, pushed, pushed_and_refused, put, refused
from conformance_formats import COMPRESSED, INCONSISTENT, MALFORMED, PROTOBUF, TIMESTAMPS, VALUES, X

GROUPS = {
    "PUT makes a group": case(put(X, "a 1\n"), page=pushed("a 1\n", job="x")),
    "POST makes a group": case(post(X, "a 1\n"), page=pushed("a 1\n", job="x")),
    "PUT replaces the whole group": case(
        put(X, "a 1\nb 1\n"), put(X, "b 2\nc 2\n"), page=pushed("b 2\nc 2\n", job="x")
    ),
    "POST replaces a family as a whole": case(
        post(X, 'a{l="1"} 1\na{l="2"} 1\n'), post(X, 'a{l="3"} 3\n'), page=pushed('a{l="3"} 3\n', job="x")
    ),
    "POST keeps other families": case(
        put(X, "a 1\nb 1\n"), post(X, "b 2\nc 2\n"), page=pushed("a 1\nb 2\nc 2\n", job="x")
    ),
    "values are replaced, not added": case(
        *[post(X, "# TYPE a_total counter\na_total 5\n")] * 3, page=pushed("a_total 5\n", job="x")
    ),
    "PUT of nothing empties the group": case(put(X, "a 1\n"), put(X, ""), page=pushed(job="x")),
    "PUT of nothing makes a group": case(put(X, ""), page=pushed(job="x")),
    "POST of nothing keeps all families": case(put(X, "a 1\n"), post(X, ""), page=pushed("a 1\n", job="x")),
    "POST of nothing makes a group": case(post(X, ""), page=pushed(job="x")),
    "TYPE and HELP alone store nothing": case(
        post(X, "# HELP a A.\n# TYPE a gauge\n# TYPE b gauge\nb 1\n"), page=pushed("b 1\n", job="x")
    ),
    "TYPE and HELP alone remove nothing": case(
        put(X, "# TYPE a gauge\na 1\n"), post(X, "# HELP a A.\n# TYPE a gauge\n"), page=pushed("a 1\n", job="x")
    ),
    "TYPE and HELP alone are PUT as nothing": case(
        put(X, "# TYPE a gauge\na 1\n"), put(X, "# TYPE a gauge\n"), page=pushed(job="x")
    ),
    "a comment alone is nothing": case(put(X, "a 1\n"), put(X, "# no more\n\n"), page=pushed(job="x")),
    "a family may come in parts": case(
        put(X, 'a{l="1"} 1\nb 1\na{l="2"} 2\n'), page=pushed('a{l="1"} 1\na{l="2"} 2\nb 1\n', job="x")
    ),
    "DELETE removes a group with its times": case(
        put(X, "a 1\n"), put("/job/y", "a 1\n"), delete(X), page=pushed("a 1\n", job="y")
    ),
    "DELETE of an unknown group is fine": case(put(X, "a 1\n"), delete("/job/y"), page=pushed("a 1\n", job="x")),
    "DELETE removes no longer grouping key": case(
        put(X, "a 1\n"),
        put("/job/x/instance/y", "a 2\n"),
        delete(X),
        page=pushed("a 2\n", job="x", instance="y"),
    ),
    "DELETE removes no shorter grouping key": case(
        put(X, "a 1\n"), put("/job/x/l/y", "a 2\n"), delete("/job/x/l/y"), page=pushed("a 1\n", job="x")
    ),
    "DELETE does not care for the order of labels": case(put("/job/x/a/1/b/2", "a 1\n"), delete("/job/x/b/2/a/1")),
    "DELETE does not care how labels are spelt": case(
        put("/job/x/a/1", "a 1\n"), delete("/job@base64/eA/a@base64/MQ==")
    ),
    "a group begins anew after DELETE": case(
        put(X, "a 1\n"), put(X, "a 2 7\n", 400), delete(X), put(X, "b 3\n"), page=pushed("b 3\n", job="x")
    ),
    "groups do not touch each other": case(
        put(X, "a 1\n"),
        put("/job/y", "a 2\n"),
        put("/job/x/l/1", "a 3\n"),
        post("/job/y", "b 4\n"),
        page=pushed("a 1\n", job="x") | pushed("a 2\nb 4\n", job="y") | pushed("a 3\n", job="x", l="1"),
    ),
    "the times are gauges": case(
        put(X, ""),
        page=pushed(job="x"),
        types={"push_time_seconds": "gauge", "push_failure_time_seconds": "gauge"},
    ),
}

PATHS = {
    "the order of labels in the path means nothing": case(
        put("/job/x/a/1/b/2", "m 1\n"), put("/job/x/b/2/a/1", "m 2\n"), page=pushed("m 2\n", job="x", a="1", b="2")
    ),
    "a value in base64": case(
        put("/job/x/dir@base64/L3Zhci90bXA", "m 1\n"), page=pushed("m 1\n", job="x", dir="/var/tmp")
    ),
    "a value in base64 with padding": case(put("/job/x/a@base64/YQ==", "m 1\n"), page=pushed("m 1\n", job="x", a="a")),
    "a value in base64 with too much padding": case(
        put("/job/x/a@base64/YQ=====", "m 1\n"), page=pushed("m 1\n", job="x", a="a")
    ),
    "the URL's own base64 alphabet": case(
        put("/job/x/a@base64/fn5-/b@base64/Pz8_", "m 1\n"), page=pushed("m 1\n", job="x", a="~~~", b="???")
    ),
    "an empty value in base64": case(put("/job/x/a@base64/=", "m 1\n"), page=pushed("m 1\n", job="x")),
    "an empty instance in base64": case(put("/job/x/instance@base64/=", "m 1\n"), page=pushed("m 1\n", job="x")),
    "a job in base64": case(put("/job@base64/eC95/a/1", "m 1\n"), page=pushed("m 1\n", job="x/y", a="1")),
    "a job in base64 is the job": case(
        put("/job@base64/eA==", "m 1\n"), post("/job/x", "n 1\n"), page=pushed("m 1\nn 1\n", job="x")
    ),
    "a job in base64 with slashes around": case(put("/job@base64/L3gv", "m 1\n"), page=pushed("m 1\n", job="/x/")),
    "base64 of UTF-8": case(put("/job/x/a@base64/w6kg8J-MiQ", "m 1\n"), page=pushed("m 1\n", job="x", a="é 🌉")),
    "base64 of the other alphabet is refused": case(
        put("/job/x/a@base64/fn5+Pw", "m 1\n", 400, 'invalid base64 encoding for label a="fn5+Pw"')
    ),
    "base64 that is none is refused": case(
        post("/job/x/a@base64/a.b", "m 1\n", 400, 'invalid base64 encoding for label a="a.b"')
    ),
    "base64 that is none is refused by DELETE": case(
        put(X, "m 1\n"),
        delete("/job/x/a@base64/a.b", 400, "invalid base64 encoding for label"),
        page=pushed("m 1\n", job="x"),
    ),
    "a job in base64 that is none is refused": case(
        put("/job@base64/a.b", "m 1\n", 400, 'invalid base64 encoding in job name "a.b"'), since=(1, 7)
    ),
    "a label without a value is refused": case(
        put("/job/x/a", "m 1\n", 400, 'odd number of components in label string "/a"')
    ),
    "a label without a value is refused by DELETE": case(delete("/job/x/a", 400, "odd number of components")),
    "a label name with a sign is refused": case(put("/job/x/a=b/1", "m 1\n", 400, 'improper label name "a=b"')),
    "a label name that begins with a digit is refused": case(
        put("/job/x/1a/1", "m 1\n", 400, 'improper label name "1a"')
    ),
    "a label name with a colon is refused": case(put("/job/x/a:b/1", "m 1\n", 400, 'improper label name "a:b"')),
    "a label name with a dash is refused": case(put("/job/x/a-b/1", "m 1\n", 400, 'improper label name "a-b"')),
    "a reserved label name is refused": case(put("/job/x/__a/1", "m 1\n", 400, 'improper label name "__a"')),
    "the name of the metric is a reserved label": case(
        put("/job/x/__name__/m", "m 1\n", 400, 'improper label name "__name__"')
    ),
    "an empty job is refused": case(put("/job@base64/=", "m 1\n", 400, "job name is required")),
    "an empty job is refused by DELETE": case(delete("/job@base64/=", 400, "job name is required")),
    "percent encoding": case(put("/job/%78%20y/a/%C3%A9%22%5C", "m 1\n"), page=pushed("m 1\n", job="x y", a='é"\\')),
    "a plus sign is one": case(put("/job/x+y/a/1%2B1", "m 1\n"), page=pushed("m 1\n", job="x+y", a="1+1")),
    "signs that paths may have": case(
        put("/job/a-b.c_d~e:f@g,h;i=j&k!l", "m 1\n"), page=pushed("m 1\n", job="a-b.c_d~e:f@g,h;i=j&k!l")
    ),
    "labels of the path win": case(
        put("/job/x/l/path", 'm{job="body",l="body",k="body"} 1\n'), page=pushed('m{k="body"} 1\n', job="x", l="path")
    ),
    "of a label twice in the path the last wins": case(
        put("/job/x/a/1/a/2", "m 1\n"), post("/job/x/a/2", "n 1\n"), page=pushed("m 1\nn 1\n", job="x", a="2")
    ),
    "of two jobs in the path the first wins": case(put("/job/x/job/y", "m 1\n"), page=pushed("m 1\n", job="x")),
    "an instance that is missing is added, and empty": case(
        put("/job/x/a/1", "m 1\n"),
        page={("m", (("a", "1"), ("instance", ""), ("job", "x"))): 1} | pushed(job="x", a="1"),
    ),
    "an instance of the body is kept": case(
        put(X, 'm{instance="body"} 1\nm 2\n'), page=pushed('m{instance="body"} 1\nm 2\n', job="x")
    ),
    "an empty instance of the body is kept": case(put(X, 'm{instance=""} 1\n'), page=pushed("m 1\n", job="x")),
    "an instance of the path wins": case(
        put("/job/x/instance/path", 'm{instance="body"} 1\n'), page=pushed("m 1\n", job="x", instance="path")
    ),
    "a slash behind the job": case(put("/job/x/", "m 1\n"), post(X, "n 1\n"), page=pushed("m 1\nn 1\n", job="x")),
    "a slash behind a label is a name without a value": case(
        put("/job/x/a/1/", "m 1\n", 400, "odd number of components")
    ),
    "a query means nothing": case(put("/job/x?a=1", "m 1\n"), delete("/job/y?job=x"), page=pushed("m 1\n", job="x")),
}

TIMES = {
    "a push that the check refuses is told by its time": case(
        put(X, "a 1\n"), put(X, "a 2\na 3\n", 400, INCONSISTENT), page=pushed_and_refused("a 1\n", job="x")
    ),
    "a refused push makes a group": case(put(X, "a 1\na 2\n", 400, INCONSISTENT), page=refused(job="x")),
    "a refused POST makes a group": case(
        post("/job/x/instance/y", "a 1\na 2\n", 400, INCONSISTENT), page=refused(job="x", instance="y")
    ),
    "a refused push with a timestamp makes a group": case(post(X, "a 1 7\n", 400, TIMESTAMPS), page=refused(job="x")),
    "what cannot be parsed touches nothing": case(
        put(X, "a 1\n"), put(X, "b 1\na{ 2\n", 400), post(X, "?\n", 400), page=pushed("a 1\n", job="x")
    ),
    "what cannot be parsed makes no group": case(put(X, "a{ 1\n", 400), post(X, "?\n", 400)),
    "a bad path touches nothing": case(
        put(X, "a 1\n"), put("/job/x/a", "a 2\n", 400), put("/job/x/a=b/c", "a 2\n", 400), page=pushed("a 1\n", job="x")
    ),
    "a failure is remembered by PUT": case(
        put(X, "a 1\na 2\n", 400), put(X, "b 1\n"), page=pushed_and_refused("b 1\n", job="x")
    ),
    "a failure is remembered by POST": case(
        put(X, "a 1\na 2\n", 400), post(X, "b 1\n"), page=pushed_and_refused("b 1\n", job="x")
    ),
    "a failure is remembered by PUT of nothing": case(
        put(X, "a 1 1\n", 400), put(X, ""), page=pushed_and_refused(job="x")
    ),
    "a failure is forgotten by DELETE": case(put(X, "a 1 1\n", 400), delete(X)),
    "a failure is of its group alone": case(
        put(X, "a 1\n"), put("/job/y", "a 1 1\n", 400), page=pushed("a 1\n", job="x") | refused(job="y")
    ),
    "a push cannot set the time of the push": case(
        put(X, "# HELP push_time_seconds Mine.\n# TYPE push_time_seconds gauge\npush_time_seconds 5\na 1\n"),
        page=pushed("a 1\n", job="x"),
    ),
    "nor with another type": case(
        post(X, '# TYPE push_time_seconds counter\npush_time_seconds{l="1"} 5\npush_time_seconds{l="2"} 5\na 1\n'),
        page=pushed("a 1\n", job="x"),
        types={"push_time_seconds": "gauge"},
    ),
    "nor the time of a failure without a type": case(
        put(X, "push_failure_time_seconds 5\na 1\n"),
        page=pushed("a 1\n", job="x"),
        types={"push_failure_time_seconds": "gauge"},
    ),
}

REFUSED_BY_THE_CHECK = {
    "a timestamp, and nothing is applied": case(
        put(X, "a 1\n"),
        post(X, "a 2\nb 1 1700000000000\nc 1\n", 400, TIMESTAMPS),
        page=pushed_and_refused("a 1\n", job="x"),
    ),
    "a timestamp of zero": case(put(X, "a 1 0\n", 400, TIMESTAMPS), page=refused(job="x")),
    "a timestamp before 1970": case(put(X, "a 1 -5\n", 400, TIMESTAMPS), page=refused(job="x")),
    "a timestamp of a histogram": case(
        put(X, '# TYPE h histogram\nh_bucket{le="+Inf"} 1 5\nh_sum 1\nh_count 1\n', 400, TIMESTAMPS),
        page=refused(job="x"),
    ),
    "a series twice": case(put(X, 'a{l="1"} 1\na{l="1"} 1\n', 400, INCONSISTENT), page=refused(job="x")),
    "a series twice with its labels in another order": case(
        put(X, 'a{l="1",k="2"} 1\na{k="2",l="1"} 2\n', 400, INCONSISTENT), page=refused(job="x")
    ),
    "a series twice far apart, and nothing is applied": case(
        put(X, "a 1\n"), post(X, "b 2\na 3\nc 4\na 5\n", 400, INCONSISTENT), page=pushed_and_refused("a 1\n", job="x")
    ),
    "a series twice by the labels of the path": case(
        put("/job/x/l/3", 'a{l="1"} 1\na{l="2"} 2\n', 400, INCONSISTENT), page=refused(job="x", l="3")
    ),
    "a series twice by the instance that is added": case(
        put(X, 'a 1\na{instance=""} 2\n', 400, INCONSISTENT), page=refused(job="x")
    ),
    "a series of another group": case(
        put(X, 'a{instance="y"} 1\n'),
        put("/job/x/instance/y", "a 2\n", 400, INCONSISTENT),
        page=pushed('a{instance="y"} 1\n', job="x") | refused(job="x", instance="y"),
    ),
    "a series of another group, by its body": case(
        put("/job/x/l/1", "a 1\n"),
        put(X, 'b 1\na{l="1"} 2\n', 400, INCONSISTENT),
        page=pushed("a 1\n", job="x", l="1") | refused(job="x"),
    ),
    "another type than in another group": case(
        put(X, "# TYPE a_total gauge\na_total 1\n"),
        put("/job/y", "# TYPE a_total counter\na_total 1\n", 400, INCONSISTENT),
        page=pushed("a_total 1\n", job="x") | refused(job="y"),
        types={"a_total": "gauge"},
    ),
    "no type where another group has one": case(
        put(X, "# TYPE a gauge\na 1\n"),
        post("/job/y", "a 1\n", 400, INCONSISTENT),
        page=pushed("a 1\n", job="x") | refused(job="y"),
    ),
    "a type where another group has none": case(
        put(X, "a 1\n"),
        post("/job/y", "# TYPE a gauge\na 1\n", 400, INCONSISTENT),
        page=pushed("a 1\n", job="x") | refused(job="y"),
        types={"a": "untyped"},
    ),
    "another type in one's own group when yet another has it": case(
        put(X, "# TYPE a_total gauge\na_total 1\n"),
        put("/job/y", "# TYPE a_total gauge\na_total 2\n"),
        put(X, "# TYPE a_total counter\na_total 3\n", 400, INCONSISTENT),
        page=pushed_and_refused("a_total 1\n", job="x") | pushed("a_total 2\n", job="y"),
    ),
    "the count of another group's summary": case(
        put(X, "# TYPE s summary\ns_sum 1\ns_count 1\n"),
        put("/job/y", "# TYPE s_count gauge\ns_count 1\n", 400, INCONSISTENT),
        page=pushed("s_sum 1\ns_count 1\n", job="x") | refused(job="y"),
    ),
    "a summary whose sum another group has": case(
        put(X, "# TYPE s_sum gauge\ns_sum 1\n"),
        put("/job/y", "# TYPE s summary\ns_sum 1\ns_count 1\n", 400, INCONSISTENT),
        page=pushed("s_sum 1\n", job="x") | refused(job="y"),
    ),
    "the buckets of another group's histogram": case(
        put(X, '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'),
        put("/job/y", "# TYPE h_bucket gauge\nh_bucket 1\n", 400, INCONSISTENT),
        page=pushed('h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', job="x") | refused(job="y"),
    ),
    "a histogram whose count another group has": case(
        put(X, "# TYPE h_count gauge\nh_count 1\n"),
        put("/job/y", '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', 400, INCONSISTENT),
        page=pushed("h_count 1\n", job="x") | refused(job="y"),
    ),
    "a summary and its count in one push": case(
        put(X, "# TYPE s_count gauge\ns_count 1\n# TYPE s summary\ns_sum 1\n", 400, INCONSISTENT), page=refused(job="x")
    ),
}

ACCEPTED = {
    "another type in one's own group by PUT": case(
        put(X, "# TYPE a_total gauge\na_total 1\n"),
        put(X, "# TYPE a_total counter\na_total 2\n"),
        page=pushed("a_total 2\n", job="x"),
        types={"a_total": "counter"},
    ),
    "another type in one's own group by POST": case(
        put(X, "a 1\nb 1\n"),
        post(X, "# TYPE a gauge\na 2\n"),
        page=pushed("a 2\nb 1\n", job="x"),
        types={"a": "gauge", "b": "untyped"},
    ),
    "a gauge becomes a histogram in its group": case(
        put(X, "# TYPE a gauge\na 1\n"),
        put(X, '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 2\na_count 1\n'),
        page=pushed('a_bucket{le="+Inf"} 1\na_sum 2\na_count 1\n', job="x"),
        types={"a": "histogram"},
    ),
    "a count gives way to a summary in its group": case(
        put(X, "# TYPE a_count gauge\na_count 1\n"),
        put(X, "# TYPE a summary\na_sum 1\na_count 2\n"),
        page=pushed("a_sum 1\na_count 2\n", job="x"),
        types={"a": "summary"},
    ),
    "another type when nobody has the name any more": case(
        put(X, "# TYPE a_total gauge\na_total 1\n"),
        delete(X),
        put("/job/y", "# TYPE a_total counter\na_total 1\n"),
        page=pushed("a_total 1\n", job="y"),
        types={"a_total": "counter"},
    ),
    "another type when the other group has put something else": case(
        put(X, "# TYPE a_total gauge\na_total 1\n"),
        put(X, "b 1\n"),
        put("/job/y", "# TYPE a_total counter\na_total 1\n"),
        page=pushed("b 1\n", job="x") | pushed("a_total 1\n", job="y"),
    ),
    "a series of a group that is gone": case(
        put(X, 'a{l="1"} 1\n'), delete(X), put("/job/x/l/1", "a 2\n"), page=pushed("a 2\n", job="x", l="1")
    ),
    "a name after its only push was refused": case(
        put(X, "# TYPE a_total gauge\na_total 1\na_total 2\n", 400),
        put("/job/y", "# TYPE a_total counter\na_total 1\n"),
        page=refused(job="x") | pushed("a_total 1\n", job="y"),
    ),
    "buckets beside a summary": case(
        put(X, "# TYPE s summary\ns_sum 1\ns_count 1\n# TYPE s_bucket gauge\ns_bucket 1\n"),
        page=pushed("s_sum 1\ns_count 1\ns_bucket 1\n", job="x"),
    ),
    "another HELP": case(
        put(X, "# HELP a One.\n# TYPE a gauge\na 1\n"),
        put("/job/y", "# HELP a Two.\n# TYPE a gauge\na 2\n"),
        put("/job/z", "# TYPE a gauge\na 3\n"),
        page=pushed("a 1\n", job="x") | pushed("a 2\n", job="y") | pushed("a 3\n", job="z"),
    ),
    "other label names within a family": case(
        put(X, 'a 1\na{l="1"} 2\na{k="1",m="2"} 3\n'), page=pushed('a 1\na{l="1"} 2\na{k="1",m="2"} 3\n', job="x")
    ),
    "a counter that falls": case(
        *(put(X, f"# TYPE a_total counter\na_total {value}\n") for value in (5, 3)), page=pushed("a_total 3\n", job="x")
    ),
    "counters below zero and no numbers": case(
        put(X, '# TYPE a_total counter\na_total -1\na_total{l="1"} NaN\na_total{l="2"} -Inf\n'),
        page=pushed('a_total -1\na_total{l="1"} NaN\na_total{l="2"} -Inf\n', job="x"),
        types={"a_total": "counter"},
    ),
}

CASES = (
    GROUPS
    | PATHS
    | TIMES
    | ACCEPTED
    | VALUES
    | PROTOBUF
    | COMPRESSED
    | {f"refused by the check: {name}": found for name, found in REFUSED_BY_THE_CHECK.items()}
    | {f"malformed: {name}": found for name, found in MALFORMED.items()}
)

# Method, path, status, a part of the answer.
ROUTES = {
    "a group cannot be read": ("GET", "/metrics/job/x", 405, ""),
    "a group cannot be patched": ("PATCH", "/metrics/job/x", 405, ""),
    "the page cannot be posted to": ("POST", "/metrics", 405, ""),
    "the page cannot be put": ("PUT", "/metrics", 405, ""),
    "the page cannot be deleted": ("DELETE", "/metrics", 405, ""),
    "health can only be read": ("POST", "/-/healthy", 405, ""),
    "readiness can only be read": ("PUT", "/-/ready", 405, ""),
    "the status can only be read": ("POST", "/api/v1/status", 405, ""),
    "the groups can only be read": ("PUT", "/api/v1/metrics", 405, ""),
    "termination cannot be read": ("GET", "/-/quit", 405, ""),
    "an unknown path": ("GET", "/nope", 404, ""),
    "an unknown path of the API": ("GET", "/api/v1/nope", 404, ""),
    "another version of the API": ("GET", "/api/v2/status", 404, ""),
    "a job without a name": ("PUT", "/metrics/job", 404, ""),
    "a path that does not begin with the job": ("PUT", "/metrics/instance/x/job/y", 404, ""),
    "health": ("GET", "/-/healthy", 200, "OK"),
    "readiness": ("GET", "/-/ready", 200, "OK"),
    "termination needs a flag": ("PUT", "/-/quit", 403, "Lifecycle API is not enabled."),
    "termination by POST needs a flag": ("POST", "/-/quit", 403, "Lifecycle API is not enabled."),
    "wiping needs a flag": ("PUT", "/api/v1/admin/wipe", 404, ""),
    "the page for people": ("GET", "/", 200, "<html"),
}
