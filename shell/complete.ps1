# Completes kage in PowerShell: asks kage which words fit. After `--` and for files, PowerShell's rules apply.

Register-ArgumentCompleter -Native -CommandName kage -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text })
    if ($words -contains '--') { return }
    # An empty last argument may get lost; kage infers it from the index.
    $typed = @($words) + @($wordToComplete | Where-Object { $_ })

    $before = $env:KAGE_COMPLETE
    $env:KAGE_COMPLETE = $words.Count
    try {
        $lines = @(& @kage@ '--' @typed 2>$null)
    } finally {
        $env:KAGE_COMPLETE = $before
    }
    if ($lines | Where-Object { $_ -match '^[^\t]*complete (files|directories)$' }) { return }

    foreach ($line in $lines) {
        $word, $about = $line -split "`t", 2
        $text = if ($word -match '^[\w.,:=/~+-]+$') { $word } else { "'" + $word.Replace("'", "''") + "'" }
        if (-not $about) { $about = $word }
        [System.Management.Automation.CompletionResult]::new($text, $word, 'ParameterValue', $about)
    }
}
