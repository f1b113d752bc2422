# Completes kage in elvish: asks kage which words fit. After `--`, programs and files are completed.

use str

set edit:completion:arg-completer[kage] = {|@words|
  var last = (- (count $words) 1)
  var program = $nil
  for i [(range 1 $last)] {
    if (and (eq $program $nil) (eq $words[$i] --)) { set program = (+ $i 1) }
  }
  if (not-eq $program $nil) {
    if (== $program $last) {
      # Programs on PATH, as at the beginning of a line.
      edit:complete-sudo sudo $words[$last]
    } else {
      edit:complete-filename $@words
    }
  } else {
    try {
      env KAGE_COMPLETE=(to-string $last) @kage@ -- $@words 2>/dev/null | from-lines | each {|line|
        var word @about = (str:split &max=2 "\t" $line)
        if (or (str:has-suffix $word 'complete files') (str:has-suffix $word 'complete directories')) {
          edit:complete-filename $@words
        } else {
          var after = ' '
          if (or (str:has-suffix $word :) (str:has-suffix $word =) (str:has-suffix $word /)) { set after = '' }
          var display = $word
          if (> (count $about) 0) { set display = $word'  '$about[0] }
          edit:complex-candidate $word &display=$display &code-suffix=$after
        }
      }
    } catch {
      nop
    }
  }
}
