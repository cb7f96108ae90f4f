# Written by `master-sim tree`; the state tree's top.sls reads it.
state_ring:
  saltenv: "canary"
  percent: 0
  since: ""
  halted: null
