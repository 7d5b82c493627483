"""Training: any world-model family on any store, start banks and checkpoints.

The room::

    train.py       a family on a store, as its recipe says; `load_run` opens what was trained
    fit.py         the loop; stages.py its stages, prefetch.py its batches, ema.py the average, stop.py signals
    runs.py        what a run was begun with; progress.py what it keeps to go on; log.py what it writes
    openloop.py    errors on held-out windows during training
    fitting.py     whether a model reads what a store holds
    frozen.py      pretrained parts that stand in no file; packing.py smaller tensors
    bank.py        start banks
    checkpoint/    `save`, `load`
"""
