"""A telephone network in one process that speaks the part of ARI that MiniVoice uses, as Asterisk 22 does.

`network`, `channels` (`legs`, `turns`, `playing`, `recordings`) and `bridges` are what it does, `callees` how those who
are dialled behave, `events`, `ari`, `media` and `rest` how it looks from outside, `sockets` who listens, `control`,
`advancing` and `faults` what tests ask of it, `server` the whole.
"""
