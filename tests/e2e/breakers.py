"""Single requests that have broken a push gateway for everybody."""

# Name: path, body. All are to be refused.
BREAKERS = {
    "a path value in base64 that is not UTF-8": ("/job/x/y@base64/_w", b"z 1\n"),
    "a path value that is not UTF-8": ("/job/x/y/%FF", b"z 1\n"),
    "a path label name that is not UTF-8": ("/job/x/%FF/y", b"z 1\n"),
    "a HELP that is not UTF-8": ("/job/x", b"# HELP z \xff\n# TYPE z gauge\nz 1\n"),
    "a label that is not UTF-8": ("/job/x", b'z{a="\xc3("} 1\n'),
    "a UTF-8 surrogate": ("/job/x", b'z{a="\xed\xa0\x80"} 1\n'),
    "a name that is not UTF-8": ("/job/x", b'{"z\xff"} 1\n'),
    "a gauge histogram in the text format": ("/job/x", b"# TYPE a gauge_histogram\na 1\n"),
    "base64 that is none": ("/job@base64/a.b", b"z 1\n"),
    "one bucket in two spellings": (
        "/job/x",
        b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    ),
    "names that are one after escaping": ("/job/x", b'{"z-z"} 1\n{"z_z"} 1\n'),
    "a name that is one with a plain one after escaping": ("/job/x", b'z_z 1\n{"z.z"} 1\n'),
    "label names that are one after escaping": ("/job/x", b'z{"a-b"="1","a_b"="2"} 1\n'),
    "a label twice": ("/job/x", b'z{a="1",a="2"} 1\n'),
    "an empty name": ("/job/x", b'{""} 1\n'),
    "an own le on a sum": ("/job/x", b'# TYPE h histogram\nh_sum{le="1"} 1\n'),
    "an le in the path": ("/job/x/le/1", b'# TYPE h histogram\nh_bucket{le="1"} 1\n'),
    "a label that is the metric's name after escaping": ("/job/x", b'z{"--name--"="y"} 1\n'),
    "a label that is reserved after escaping": ("/job/x", b'z{"--a"="1"} 1\n'),
    "a label that is one with the path's after escaping": ("/job/x/a_b/1", b'z{"a-b"="2"} 1\n'),
    "a reserved label": ("/job/x", b'z{__name__="y"} 1\n'),
    "a reserved label in the path": ("/job/x/__name__/y", b"z 1\n"),
}
