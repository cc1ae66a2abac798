/^learned/s/12[01]$/122/
s/^(proposed 0 [^ ]+) 12[01]/\1 122/
s/^(proposed .* )([0-2]),[0-2].*/\1\2/
/^proposed/p
/^promised/p
s/^(promised [0-9] [^ ]+ 0) 0 .*/\1/
s/^voted [0-2]/voted 7/
/^voted/d
s/^(restarted [0-9]) [0-9].*/\1 -/
s/^(restarted [0-9] [0-9.]+) 0 .*/\1/
