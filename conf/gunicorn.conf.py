"""gunicorn for JobX, to be changed to taste.

    gunicorn -c conf/gunicorn.conf.py 'jobx.http.asgi:create()'

``jobx serve`` starts gunicorn with the same options by itself. They come from the settings of
JobX (``JOBX_CONFIG`` names the file; ``JOBX_HTTP_BIND``, ``JOBX_HTTP_WORKERS`` and the like go
before it), and ``jobx/http/gunicorn_conf.py`` explains each. What is set below
the import replaces them, for example:

    bind = "unix:/run/jobx/http.sock"   behind nginx on this machine, without a port; nginx must
                                        say ``proxy_set_header X-Forwarded-For $remote_addr;``
    accesslog = "-"                     a line for each request, on stdout
    certfile, keyfile                   TLS without a proxy
"""

from jobx.http.gunicorn_conf import *  # noqa: F403 - these are the options
