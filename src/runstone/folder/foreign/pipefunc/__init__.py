"""Run folders of pipefunc, 0.86 to 0.93: how they stand, without pipefunc, without unpickling, without a trace.

    layout      the names of the files
    run_info    run_info.json: outputs, shapes, storages
    heartbeat   pipefunc_status.json, which asynchronous runs renew
    storages    what each storage has put on disk; `arrays` and `zarr` know two of them
    pickles     pickles read as text, by which snapshots of errors are known
    verdict     what all of this says about the run
    answer      the same in the shape of our own runs

What pipefunc's own reader gets right is the same here; where it is wrong, the files decide.
"""
