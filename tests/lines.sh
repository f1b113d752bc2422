#!/usr/bin/env bash
# Counts the lines of src without tests, by top-level module: bash tests/lines.sh [revision...]. Default: the working
# tree. Several revisions are printed side by side. Files of tests and modules under #[cfg(test)] are not counted.
set -euo pipefail
cd "$(dirname "$0")/.."

trees=$(mktemp -d)
trap 'rm -rf "$trees"' EXIT
if [ $# = 0 ]; then
  set -- now
  mkdir "$trees/now"
  cp -r src "$trees/now/src"
else
  for revision in "$@"; do
    mkdir -p "$trees/$revision"
    git archive "$revision" src | tar -x -C "$trees/$revision"
  done
fi

perl - "$trees" "$@" <<'PERL'
use strict;
use warnings;
use File::Find;

my ($trees, @revisions) = @ARGV;
my (%count, %total);
for my $revision (@revisions) {
    my $src = "$trees/$revision/src";
    my (%text, @of_tests);
    find({ no_chdir => 1, wanted => sub {
        return unless /\.rs$/;
        my $file = $_;
        open my $in, '<', $file or die "$file: $!\n";
        my $text = do { local $/; <$in> };
        my $module = substr $file, length "$src/";
        $module =~ s/\.rs$//;
        # `#[cfg(test)] mod tests;` excludes the files of that module.
        push @of_tests, "$module/$1" while $text =~ /^#\[cfg\(test\)\]\nmod (\w+);/mg;
        # Removes `#[cfg(test)] mod tests { ... }` blocks.
        $text =~ s/^#\[cfg\(test\)\]\nmod \w+ \{\n.*?^\}\n//msg;
        $text{$module} = $text;
    } }, $src);
    for my $module (keys %text) {
        next if grep { $module eq $_ or index($module, "$_/") == 0 } @of_tests;
        my ($top) = split m{/}, $module;
        my $lines = () = $text{$module} =~ /\n/g;
        $count{$top}{$revision} += $lines;
        $total{$revision} += $lines;
    }
}
my $row = sub { printf "%-12s" . " %12s" x @revisions . "\n", @_ };
$row->('module', map { substr $_, 0, 12 } @revisions);
for my $module (sort keys %count) {
    $row->($module, map { $count{$module}{$_} // 0 } @revisions);
}
$row->('all', map { $total{$_} } @revisions);
PERL
