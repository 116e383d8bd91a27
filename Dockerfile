# A static binary, alone, as a user that is not root. It runs on a read-only
# root file system: what it keeps goes to the volume at /var/lib/pacer.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /pacer ./cmd/pacer \
 && mkdir -p /state/var/lib/pacer /state/tmp && chmod 1777 /state/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /pacer /pacer
COPY --from=build --chown=65532:65532 /state/ /
USER 65532:65532
VOLUME /var/lib/pacer
# The default stateDir lies in the volume, as /var/lib/pacer/pacer-state. One that the
# configuration names goes before; a relative one would start at /etc/pacer, which
# is read-only.
ENV STATE_DIRECTORY=/var/lib/pacer
WORKDIR /var/lib/pacer
# The page listens at 127.0.0.1:9090, which nobody outside reaches, unless listen
# says otherwise (:9090), which needs tokens (web.tokens).
EXPOSE 9090
ENTRYPOINT ["/pacer"]
CMD ["run", "--config", "/etc/pacer/pacer.yaml"]
