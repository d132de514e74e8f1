# plot.sh: a sweep as a picture: medians in milliseconds over what was swept. Sourced.
# shellcheck shell=bash

# ROOT FILE PATTERN LABEL: an SVG of the workloads whose name matches PATTERN, whose one group is the number; the plain
# run is where that number is 0. Nothing where there was no sweep.
plot() {
  # shellcheck disable=SC2016  # the dollars are jq's
  chroot "$1" jq -rs --arg pattern "$3" --arg label "$4" '
    def median: sort | .[length / 2 | floor];
    def colour: {husk: "#c2410c", crun: "#1d4ed8", runc: "#15803d", floor: "#6b7280"}[.];
    def rounded: . * 10 | round / 10;
    [.[] | . as $one | if .workload == "run /bin/true" then "0" else (.workload | capture($pattern) | .count) // empty end
      | {runtime: $one.runtime, count: tonumber, times: $one.times}]
    | group_by([.runtime, .count])
    | map({runtime: .[0].runtime, count: .[0].count, ms: (map(.times) | add | median * 1000)})
    | if (map(.count) | max // 0) == 0 then empty else . end
    | (map(.count) | max) as $most | (map(.ms) | max) as $slowest
    | def x: 60 + . / $most * 480; def y: 300 - . / $slowest * 260;
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 350\" font-family=\"sans-serif\" font-size=\"12\">",
    "<rect width=\"640\" height=\"350\" fill=\"white\"/>",
    "<path d=\"M60 30V300H560\" fill=\"none\" stroke=\"black\"/>",
    "<text x=\"60\" y=\"20\">run /bin/true, median in ms</text>",
    "<text x=\"300\" y=\"340\" text-anchor=\"middle\">\($label)</text>",
    (map(.count) | unique[] | "<text x=\"\(x)\" y=\"318\" text-anchor=\"middle\">\(.)</text>"),
    ([0, $slowest / 2, $slowest][] | "<text x=\"54\" y=\"\(y + 4)\" text-anchor=\"end\">\(rounded)</text>"),
    (group_by(.runtime)[] | sort_by(.count) | (.[0].runtime | colour) as $colour
      | "<polyline fill=\"none\" stroke=\"\($colour)\" stroke-width=\"2\" points=\"\(map("\(.count | x),\(.ms | y)") | join(" "))\"/>",
        (.[] | "<circle cx=\"\(.count | x)\" cy=\"\(.ms | y)\" r=\"3\" fill=\"\($colour)\"/>"),
        (last | "<text x=\"\((.count | x) + 8)\" y=\"\((.ms | y) + 4)\" fill=\"\($colour)\">\(.runtime) \(.ms | rounded)</text>")),
    "</svg>"' <"$2"
}
