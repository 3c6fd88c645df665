"""What a margin policy rests on: calibration from history, backtests by class of account, models under stress."""
